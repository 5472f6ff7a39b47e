/* Products of 8-bit integers, by the dot products of four that VNNI has.
 *
 * A row of activations is rounded to 127 steps of its largest size on both sides of zero, and so is
 * a column of weights. Sums of integers are exact, so a row's bits depend on nothing else. */
#ifndef GRAM_INTEGERS_H
#define GRAM_INTEGERS_H

#include "model.h"
#include "vectors.h"

#if WIDTH == 16 && (__clang_major__ >= 8 || __GNUC__ >= 9)
#define INTEGER_CAPABILITY "avx512_vnni"
#define WITH_DOTS __attribute__((target("avx512vnni")))
#define ADD_DOTS(sums, a, b) (vi) _mm512_dpbusd_epi32((__m512i)(sums), (__m512i)(a), (__m512i)(b))
#elif WIDTH == 8 && (__clang_major__ >= 12 || __GNUC__ >= 11)
#include <immintrin.h>
#define INTEGER_CAPABILITY "avx_vnni"
#define WITH_DOTS __attribute__((target("avxvnni")))
#define ADD_DOTS(sums, a, b) \
    (vi) _mm256_dpbusd_avx_epi32((__m256i)(sums), (__m256i)(a), (__m256i)(b))
#else
#define INTEGER_CAPABILITY ""
#endif

/* A panel: what each column's sum starts from, each column's step, the numbers (num_in / 4, 32, 4).
 * Activations are stored with 128 added, for which the starts make up. */
#define STEPS_AT (4 * PANEL)
#define NUMBERS_AT (8 * PANEL)

static inline int64_t panel_bytes(int64_t num_in) { return NUMBERS_AT + PANEL * up_to(num_in, 4); }

#ifdef ADD_DOTS
#define HAS_INTEGERS 1

/* The rounded rows, ``stride`` bytes apart, and their steps use the memory of the parts. */
static inline uint8_t *rounded(const Scratch *s) { return (uint8_t *)s->parts[0]; }
static inline float *row_steps(const Scratch *s) { return (float *)s->parts[1]; }

static inline vi load_int(const void *p) { vi v; memcpy(&v, p, sizeof v); return v; }

/* The largest of sizes, which are not negative; NaN if any is. */
static inline float largest_size(vi sizes) {
    /* The bits of sizes rise as they do; those of NaN are above all. */
    int32_t lanes[WIDTH];
    float found;
#if WIDTH == 16
    lanes[0] = _mm512_reduce_max_epi32((__m512i)sizes);
#else
    memcpy(lanes, &sizes, sizeof sizes);
    for (int half = WIDTH / 2; half; half /= 2)
        for (int i = 0; i < half; i++)
            lanes[i] = lanes[i] < lanes[i + half] ? lanes[i + half] : lanes[i];
#endif
    memcpy(&found, lanes, 4);
    return found;
}

static inline vi larger_int(vi a, vi b) {
#if WIDTH == 16
    return (vi)_mm512_max_epi32((__m512i)a, (__m512i)b);
#else
    return (vi)_mm256_max_epi32((__m256i)a, (__m256i)b);
#endif
}

/* Round rows of float32; one with a number that is not finite gets such a step. */
static void round_rows(const Scratch *s, const float *a, int64_t lda, int64_t rows,
                       int64_t num_in) {
    typedef uint8_t Bytes __attribute__((vector_size(WIDTH)));
    const int64_t padded = up_to(num_in, WIDTH), stride = s->stride;
    uint8_t *out = rounded(s);
    float *steps = row_steps(s);
    for (int64_t i = 0; i < rows; i++, a += lda, out += stride) {
        vi top = {0}, bits;
        for (int64_t k = 0; k < padded; k += WIDTH)
            top = larger_int(top, (vi)load(a + k) & 0x7fffffff);
        const float size = largest_size(top);
        steps[i] = size / 127.0f;
        const float inverse = size > 1e-30f ? 127.0f / size : 0.0f;
        for (int64_t k = 0; k < padded; k += WIDTH) {
            nearest(load(a + k) * inverse, &bits);
            Bytes bytes = __builtin_convertvector(bits + 128, Bytes);
            memcpy(out + k, &bytes, sizeof bytes);
        }
    }
}

#define DEFINE_INTEGER_ROWS(ROWS)                                                                  \
    WITH_DOTS static void integer_rows_##ROWS(const uint8_t *a, int64_t stride,                    \
                                              const float *steps, const uint8_t *b,                \
                                              int64_t num_in, float *c, int64_t ldc) {             \
        vi left[ROWS], right[ROWS];                                                                \
        _Pragma("GCC unroll 16") for (int i = 0; i < ROWS; i++) {                                  \
            left[i] = load_int(b);                                                                 \
            right[i] = load_int(b + 4 * WIDTH);                                                    \
        }                                                                                          \
        for (int64_t k = 0; k < num_in; k += 4) {                                                  \
            vi b0 = load_int(b + NUMBERS_AT + k * PANEL);                                          \
            vi b1 = load_int(b + NUMBERS_AT + k * PANEL + 4 * WIDTH);                              \
            _Pragma("GCC unroll 16") for (int i = 0; i < ROWS; i++) {                              \
                int32_t four;                                                                      \
                memcpy(&four, a + i * stride + k, 4);                                              \
                left[i] = ADD_DOTS(left[i], splat_int(four), b0);                                  \
                right[i] = ADD_DOTS(right[i], splat_int(four), b1);                                \
            }                                                                                      \
        }                                                                                          \
        vf step0 = (vf)load_int(b + STEPS_AT), step1 = (vf)load_int(b + STEPS_AT + 4 * WIDTH);     \
        _Pragma("GCC unroll 16") for (int i = 0; i < ROWS; i++) {                                  \
            store(c + i * ldc, __builtin_convertvector(left[i], vf) * step0 * steps[i]);           \
            store(c + i * ldc + WIDTH, __builtin_convertvector(right[i], vf) * step1 * steps[i]);  \
        }                                                                                          \
    }

EACH_HEIGHT(DEFINE_INTEGER_ROWS)

typedef void (*IntegerRows)(const uint8_t *, int64_t, const float *, const uint8_t *, int64_t,
                            float *, int64_t);

#define INTEGER_ROWS(ROWS) integer_rows_##ROWS,

static const IntegerRows integer_rows[MAX_ROWS] = {EACH_HEIGHT(INTEGER_ROWS)};

/* c[:, 0:32] of one panel, from the rows of ``round_rows``. */
static void integer_panel(const Scratch *s, int64_t rows, const uint8_t *b, int64_t num_in,
                          float *c, int64_t ldc) {
    const int64_t tiles = (rows + MAX_ROWS - 1) / MAX_ROWS;
    for (int64_t column = 0; column < PANEL; column += 2 * WIDTH)
        for (int64_t tile = 0, first = 0; tile < tiles; tile++) {
            const int64_t height = rows / tiles + (tile < rows % tiles);
            integer_rows[height - 1](rounded(s) + first * s->stride, s->stride,
                                     row_steps(s) + first, b + 4 * column, num_in,
                                     c + first * ldc + column, ldc);
            first += height;
        }
}
#else
#define HAS_INTEGERS 0
#endif

#endif
