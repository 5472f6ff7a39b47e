/* Philox 4x32-10 noise; the numbers are those of ``gram_kernels.philox``. */
#ifndef GRAM_NOISE_H
#define GRAM_NOISE_H

#include "vectors.h"

#define CHUNK 64 /* blocks at a time */

static inline void philox(uint32_t block, uint32_t step, uint32_t purpose, uint32_t trajectory,
                          uint64_t seed, uint32_t *words, int64_t stride) {
    uint32_t c0 = block, c1 = step, c2 = purpose, c3 = trajectory;
    uint32_t k0 = (uint32_t)seed, k1 = (uint32_t)(seed >> 32);
    for (int round = 0; round < 10; round++) {
        uint64_t p0 = (uint64_t)c0 * 0xD2511F53u, p1 = (uint64_t)c2 * 0xCD9E8D57u;
        c0 = (uint32_t)(p1 >> 32) ^ c1 ^ k0;
        c2 = (uint32_t)(p0 >> 32) ^ c3 ^ k1;
        c1 = (uint32_t)p1;
        c3 = (uint32_t)p0;
        k0 += 0x9E3779B9u;
        k1 += 0xBB67AE85u;
    }
    words[0] = c0, words[stride] = c1, words[2 * stride] = c2, words[3 * stride] = c3;
}

/* Two vectors of Box-Muller normals from two vectors of words. */
static inline void pair(const uint32_t *first, const uint32_t *second, float *out_cos,
                        float *out_sin) {
    vi a, b;
    memcpy(&a, first, sizeof a);
    memcpy(&b, second, sizeof b);
    a = (a >> 8) & 0x00ffffff;
    b = (b >> 8) & 0x00ffffff;
    vf u = (__builtin_convertvector(a, vf) + 0.5f) * 0x1p-24f;
    vf v = (__builtin_convertvector(b, vf) + 0.5f) * 0x1p-24f;
    vf squared = -2.0f * logarithm(u), cosine, sine;
    turn_of(v, &cosine, &sine);
    float lanes[WIDTH];
    store(lanes, squared);
    for (int i = 0; i < WIDTH; i++) lanes[i] = sqrtf(lanes[i]);
    vf radius = load(lanes);
    store(out_cos, radius * cosine);
    store(out_sin, radius * sine);
}

/* Write the standard normals ``first`` .. ``end - 1`` of a row's key and transition to their places
 * in ``out``, and the others of their chunks. */
static void normals(float *out, int64_t first, int64_t end, uint64_t seed, uint32_t trajectory,
                    uint32_t step, uint32_t purpose) {
    uint32_t words[4][CHUNK];
    float lanes[4][CHUNK];
    for (int64_t block = first / (4 * CHUNK) * CHUNK; 4 * block < end; block += CHUNK) {
        for (int i = 0; i < CHUNK; i++)
            philox((uint32_t)(block + i), step, purpose, trajectory, seed, &words[0][i], CHUNK);
        for (int i = 0; i < CHUNK; i += WIDTH) {
            pair(&words[0][i], &words[1][i], &lanes[0][i], &lanes[1][i]);
            pair(&words[2][i], &words[3][i], &lanes[2][i], &lanes[3][i]);
        }
        for (int i = 0; i < CHUNK; i++)
            for (int lane = 0; lane < 4; lane++) out[4 * (block + i) + lane] = lanes[lane][i];
    }
}

#endif
