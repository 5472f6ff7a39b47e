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
#if WIDTH == 16
#define MAX_ROWS 12
#define EACH_HEIGHT(X) X(1) X(2) X(3) X(4) X(5) X(6) X(7) X(8) X(9) X(10) X(11) X(12)
#else
#define MAX_ROWS 6
#define EACH_HEIGHT(X) X(1) X(2) X(3) X(4) X(5) X(6)
#endif

typedef float vf __attribute__((vector_size(4 * WIDTH)));
typedef int32_t vi __attribute__((vector_size(4 * WIDTH)));

static inline vf load(const float *p) { vf v; memcpy(&v, p, sizeof v); return v; }
static inline void store(float *p, vf v) { memcpy(p, &v, sizeof v); }
static inline vf splat(float x) { return x - (vf){0}; }
static inline vi splat_int(int32_t x) { return x - (vi){0}; }
static inline vf choose(vi mask, vf yes, vf no) { return (vf)((mask & (vi)yes) | (~mask & (vi)no)); }

static inline vf larger(vf a, vf b) {
#if WIDTH == 16
    return (vf)_mm512_max_ps((__m512)a, (__m512)b);
#else
    return choose(a > b, a, b);
#endif
}

#if WIDTH == 16
static inline __mmask16 first_lanes(int64_t count) { return count < 16 ? (1 << count) - 1 : 0xffff; }
#endif

/* The first ``count`` floats, and less than any number in the other lanes. */
static inline vf load_first(const float *p, int64_t count) {
    const vf least = splat(-INFINITY);
#if WIDTH == 16
    return (vf)_mm512_mask_loadu_ps((__m512)least, first_lanes(count), p);
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

#if WIDTH == 16
/* The first 16 rows and columns of ``transpose``, in registers. */
static void transpose_tile(const float *in, int64_t ld_in, int64_t rows, int64_t columns,
                           float *out, int64_t ld_out, int64_t width) {
    const vi lanes = {0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15};
    __m512 tile[16];
    _Pragma("GCC unroll 16") for (int i = 0; i < 16; i++)
        tile[i] = _mm512_maskz_loadu_ps(i < rows ? first_lanes(columns) : 0, in + i * ld_in);
    _Pragma("GCC unroll 4") for (int half = 8; half; half /= 2) {
        /* A vector takes every other ``half`` lanes of its partner's, which takes the others. */
        const vi is_upper = (lanes & half) != 0;
        const __m512i first = (__m512i)(lanes + (is_upper & (16 - half)));
        const __m512i second = (__m512i)(lanes + half + (is_upper & (16 - half)));
        _Pragma("GCC unroll 16") for (int i = 0; i < 16; i++) {
            if (i & half) continue;
            const __m512 upper = tile[i], lower = tile[i + half];
            tile[i] = _mm512_permutex2var_ps(upper, first, lower);
            tile[i + half] = _mm512_permutex2var_ps(upper, second, lower);
        }
    }
    _Pragma("GCC unroll 16") for (int j = 0; j < 16; j++)
        if (j < columns) _mm512_mask_storeu_ps(out + j * ld_out, first_lanes(width), tile[j]);
}
#endif

/* out (columns, ld_out) = in (rows, ld_in) transposed, with zeros from ``rows`` to ``width``. */
static void transpose(const float *in, int64_t ld_in, int64_t rows, int64_t columns, float *out,
                      int64_t ld_out, int64_t width) {
#if WIDTH == 16
    for (int64_t row = 0; row < width; row += 16)
        for (int64_t column = 0; column < columns; column += 16)
            transpose_tile(in + row * ld_in + column, ld_in, rows - row, columns - column,
                           out + column * ld_out + row, ld_out, width - row);
#else
    for (int64_t first = 0; first < columns; first += 16)
        for (int64_t i = 0; i < rows; i++)
            for (int64_t j = first; j < columns && j < first + 16; j++)
                out[j * ld_out + i] = in[i * ld_in + j];
    for (int64_t j = 0; j < columns; j++)
        for (int64_t i = rows; i < width; i++) out[j * ld_out + i] = 0.0f;
#endif
}

#endif
