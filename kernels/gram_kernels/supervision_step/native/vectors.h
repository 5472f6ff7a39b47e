/* Vectors of floats and their functions: sums, exponentials, logarithms, sines and cosines.
 * Uses the vector extensions of GCC and Clang, so the same source serves every processor. */
#ifndef GRAM_VECTORS_H
#define GRAM_VECTORS_H

#include <math.h>
#include <stdint.h>
#include <string.h>

#if defined(__AVX512F__)
#include <immintrin.h>
#define WIDTH 16
#elif defined(__AVX2__)
#define WIDTH 8
#else
#define WIDTH 4
#endif

/* Rows of a product that fit the registers, two vectors each. */
#define MAX_ROWS (WIDTH == 16 ? 12 : 6)

typedef float vf __attribute__((vector_size(4 * WIDTH)));
typedef int32_t vi __attribute__((vector_size(4 * WIDTH)));

static inline vf load(const float *p) { vf v; memcpy(&v, p, sizeof v); return v; }
static inline void store(float *p, vf v) { memcpy(p, &v, sizeof v); }
static inline vf splat(float x) { return x - (vf){0}; }
static inline vi splat_int(int32_t x) { return x - (vi){0}; }
static inline vf choose(vi mask, vf yes, vf no) { return (vf)((mask & (vi)yes) | (~mask & (vi)no)); }

/* The first ``count`` floats, and less than any number in the other lanes. */
static inline vf load_first(const float *p, int64_t count) {
    const vf least = splat(-INFINITY);
#if WIDTH == 16
    const __mmask16 mask = count < WIDTH ? (1 << count) - 1 : 0xffff;
    return (vf)_mm512_mask_loadu_ps((__m512)least, mask, p);
#else
    vi lanes;
    for (int i = 0; i < WIDTH; i++) lanes[i] = i;
    return choose(lanes < splat_int(count < WIDTH ? (int32_t)count : WIDTH), load(p), least);
#endif
}

static inline float sum(vf v) {
#if WIDTH == 16
    return _mm512_reduce_add_ps((__m512)v);
#else
    float lanes[WIDTH];
    store(lanes, v);
    for (int half = WIDTH / 2; half; half /= 2)
        for (int i = 0; i < half; i++) lanes[i] += lanes[i + half];
    return lanes[0];
#endif
}

static inline float largest(vf v) {
#if WIDTH == 16
    return _mm512_reduce_max_ps((__m512)v);
#else
    float lanes[WIDTH];
    store(lanes, v);
    for (int half = WIDTH / 2; half; half /= 2)
        for (int i = 0; i < half; i++) lanes[i] = lanes[i] < lanes[i + half] ? lanes[i + half] : lanes[i];
    return lanes[0];
#endif
}

/* x between two bounds; NaN stays. */
static inline vf bounded(vf x, float low, float high) {
#if WIDTH == 16
    __m512 raised = _mm512_max_ps((__m512)splat(low), (__m512)x);
    return (vf)_mm512_min_ps((__m512)splat(high), raised);
#else
    x = choose(x < splat(low), splat(low), x);
    return choose(x > splat(high), splat(high), x);
#endif
}

/* p times 2 to the power of n, for p around 1 and normal results; ``bits`` has n in its low bits. */
static inline vf scaled(vf p, vf n, vi bits) {
#if WIDTH == 16
    (void)bits;
    return (vf)_mm512_scalef_ps((__m512)p, (__m512)n);
#else
    return (vf)((vi)p + (bits << 23)) + (n - n);
#endif
}

/* The nearest integers; ``bits`` holds them in its low bits, by adding 1.5 * 2^23. */
static inline vf nearest(vf x, vi *bits) {
    const vf shift = splat(12582912.0f);
    vf shifted = x + shift;
    *bits = (vi)shifted;
    return shifted - shift;
}

/* e^x within two ulps; 0 below -87, NaN for NaN. */
static inline vf exponential(vf x) {
    vi is_tiny = x < splat(-87.0f), bits;
    x = bounded(x, -87.0f, 88.0f);
    vf n = nearest(x * 1.44269504f, &bits);
    vf r = (x - n * 0.693359375f) + n * 2.12194440e-4f;
    vf p = 1.9875691500e-4f * r + 1.3981999507e-3f;
    p = p * r + 8.3334519073e-3f;
    p = p * r + 4.1665795894e-2f;
    p = p * r + 1.6666665459e-1f;
    p = p * r + 5.0000001201e-1f;
    p = p * (r * r) + r + 1.0f;
    return (vf)(~is_tiny & (vi)scaled(p, n, bits));
}

static inline vf sigmoid(vf x) { return 1.0f / (1.0f + exponential(-x)); }

/* ln(x) of normal x > 0, within two ulps. */
static inline vf logarithm(vf x) {
    vi bits = (vi)x;
    vf e = __builtin_convertvector((bits >> 23) - 126, vf);
    vf m = (vf)((bits & 0x007fffff) | 0x3f000000); /* in [0.5, 1) */
    vi is_low = m < splat(0.707106781f);
    e = e - choose(is_low, splat(1.0f), splat(0.0f));
    m = m + choose(is_low, m, splat(0.0f)) - 1.0f;
    vf z = m * m;
    vf p = 7.0376836292e-2f * m - 1.1514610310e-1f;
    p = p * m + 1.1676998740e-1f;
    p = p * m - 1.2420140846e-1f;
    p = p * m + 1.4249322787e-1f;
    p = p * m - 1.6668057665e-1f;
    p = p * m + 2.0000714765e-1f;
    p = p * m - 2.4999993993e-1f;
    p = p * m + 3.3333331174e-1f;
    vf y = p * m * z - 2.12194440e-4f * e - 0.5f * z;
    return m + y + 0.693359375f * e;
}

/* cos and sin of 2 pi u for u in [0, 1]. */
static inline void turn_of(vf u, vf *cosine, vf *sine) {
    vi quarter;
    vf a = u * 4.0f;
    vf r = (a - nearest(a, &quarter)) * 1.57079632679f; /* in [-pi/4, pi/4] */
    vf z = r * r;
    vf s = ((-1.9515295891e-4f * z + 8.3321608736e-3f) * z - 1.6666654611e-1f) * z * r + r;
    vf c = ((2.443315711809948e-5f * z - 1.388731625493765e-3f) * z + 4.166664568298827e-2f) * z * z
           - 0.5f * z + 1.0f;
    vi is_odd = (quarter & 1) != 0;
    vi cosine_sign = ((quarter + 1) & 2) << 30, sine_sign = (quarter & 2) << 30;
    *cosine = (vf)((vi)choose(is_odd, s, c) ^ cosine_sign);
    *sine = (vf)((vi)choose(is_odd, c, s) ^ sine_sign);
}

#endif
