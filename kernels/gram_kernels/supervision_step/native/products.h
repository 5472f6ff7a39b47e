/* Products of activations (rows, num_in) with packed weights, 32 columns at a time.
 *
 * A row's sums run over num_in in a fixed order, independent of other rows, so its bits depend on
 * nothing else. The narrow form goes through the matrix unit (AMX): an activation is split into two
 * bfloat16 numbers that together hold 16 bits of it, the weights are bfloat16, sums are float32.
 * A third form has integers of 8 bits. */
#ifndef GRAM_PRODUCTS_H
#define GRAM_PRODUCTS_H

#include "integers.h"
#include "model.h"
#include "vectors.h"

/* c = a b for a few rows and one or two vectors of columns; a's numbers are ``step`` apart, and so
 * are b's rows ``ldb``. Inlined with constant counts, so that all sums stay in registers. */
__attribute__((always_inline)) static inline void
sum_rows(const int rows, const int vectors, const float *a, int64_t lda, int64_t step,
         const float *b, int64_t ldb, int64_t num_in, float *c, int64_t ldc) {
    vf sums[MAX_ROWS][2] = {{{0}}};
    for (int64_t k = 0; k < num_in; k++, a += step, b += ldb) {
        const vf b0 = load(b), b1 = vectors > 1 ? load(b + WIDTH) : b0;
        _Pragma("GCC unroll 16") for (int i = 0; i < rows; i++) {
            const vf s = splat(a[i * lda]);
            sums[i][0] += s * b0;
            if (vectors > 1) sums[i][1] += s * b1;
        }
    }
    _Pragma("GCC unroll 16") for (int i = 0; i < rows; i++) {
        store(c + i * ldc, sums[i][0]);
        if (vectors > 1) store(c + i * ldc + WIDTH, sums[i][1]);
    }
}

#define DEFINE_ROWS(ROWS)                                                                          \
    static void panel_rows_##ROWS(const float *a, int64_t lda, int64_t step, const float *b,       \
                                  int64_t num_in, float *c, int64_t ldc) {                         \
        sum_rows(ROWS, 2, a, lda, step, b, PANEL, num_in, c, ldc);                                 \
    }                                                                                              \
    static void vector_rows_##ROWS(const float *a, int64_t lda, int64_t step, const float *b,      \
                                   int64_t num_in, float *c, int64_t ldc) {                        \
        sum_rows(ROWS, 1, a, lda, step, b, WIDTH, num_in, c, ldc);                                 \
    }

EACH_HEIGHT(DEFINE_ROWS)

typedef void (*SumRows)(const float *, int64_t, int64_t, const float *, int64_t, float *, int64_t);

#define PANEL_ROWS(ROWS) panel_rows_##ROWS,
#define VECTOR_ROWS(ROWS) vector_rows_##ROWS,

static const SumRows panel_rows[MAX_ROWS] = {EACH_HEIGHT(PANEL_ROWS)};
static const SumRows vector_rows[MAX_ROWS] = {EACH_HEIGHT(VECTOR_ROWS)};

/* Rows of c in tiles of nearly equal height. */
static void in_tiles(const SumRows *sum_of, const float *a, int64_t lda, int64_t step, int64_t rows,
                     const float *b, int64_t num_in, float *c, int64_t ldc) {
    const int64_t tiles = (rows + MAX_ROWS - 1) / MAX_ROWS;
    for (int64_t tile = 0, first = 0; tile < tiles; tile++) {
        const int64_t height = rows / tiles + (tile < rows % tiles);
        sum_of[height - 1](a + first * lda, lda, step, b, num_in, c + first * ldc, ldc);
        first += height;
    }
}

/* c[:, 0:32] = a b for one panel in float32. */
static void wide_panel(const float *a, int64_t lda, int64_t step, int64_t rows, const float *b,
                       int64_t num_in, float *c, int64_t ldc) {
    for (int64_t column = 0; column < PANEL; column += 2 * WIDTH)
        in_tiles(panel_rows, a, lda, step, rows, b + column, num_in, c + column, ldc);
}

#if defined(__AMX_BF16__) && defined(__AVX512BF16__)
#define HAS_MATRIX_UNIT 1

typedef struct {
    uint8_t palette, start_row, reserved[14];
    uint16_t bytes_per_row[16];
    uint8_t rows[16];
} TileShapes;

static void matrix_unit_on(void) {
    TileShapes shapes __attribute__((aligned(64)));
    memset(&shapes, 0, sizeof shapes);
    shapes.palette = 1;
    for (int i = 0; i < 8; i++) shapes.bytes_per_row[i] = 64, shapes.rows[i] = TILE;
    _tile_loadconfig(&shapes);
}

static void matrix_unit_off(void) { _tile_release(); }

/* Split rows of float32 into bfloat16 parts; the sum of two holds 16 bits. */
static void split(const Scratch *s, const float *a, int64_t lda, int64_t rows, int64_t num_in,
                  int64_t num_parts) {
    int64_t padded = up_to(num_in, 32);
    for (int64_t i = 0; i < rows; i++)
        for (int64_t k = 0; k < padded; k += 16) {
            __m512 v = _mm512_loadu_ps(a + i * lda + k);
            __m256i high = (__m256i)_mm512_cvtneps_pbh(v);
            _mm256_storeu_si256((__m256i *)(s->parts[0] + i * s->stride + k), high);
            if (num_parts == 1) continue;
            __m512 kept = (__m512)_mm512_slli_epi32(_mm512_cvtepu16_epi32(high), 16);
            __m256i rest = (__m256i)_mm512_cvtneps_pbh(_mm512_sub_ps(v, kept));
            _mm256_storeu_si256((__m256i *)(s->parts[1] + i * s->stride + k), rest);
        }
}

/* One panel from the parts of ``split``; writes whole tiles of 16 rows. */
static void narrow_panel(const Scratch *s, int64_t rows, const uint16_t *b, int64_t num_in,
                         int64_t num_parts, float *c, int64_t ldc) {
    const int64_t pitch = 2 * s->stride, depth = up_to(num_in, 32) / 32;
    int64_t first = 0;
    for (; first + TILE < rows; first += 2 * TILE) {
        _tile_zero(0); _tile_zero(1); _tile_zero(2); _tile_zero(3);
        for (int64_t k = 0; k < depth; k++) {
            _tile_loadd(6, b + k * 1024, 64);
            _tile_loadd(7, b + k * 1024 + 512, 64);
            for (int64_t part = 0; part < num_parts; part++) {
                const uint16_t *a = s->parts[part] + first * s->stride + k * 32;
                _tile_loadd(4, a, pitch);
                _tile_loadd(5, a + TILE * s->stride, pitch);
                _tile_dpbf16ps(0, 4, 6);
                _tile_dpbf16ps(1, 4, 7);
                _tile_dpbf16ps(2, 5, 6);
                _tile_dpbf16ps(3, 5, 7);
            }
        }
        _tile_stored(0, c + first * ldc, 4 * ldc);
        _tile_stored(1, c + first * ldc + 16, 4 * ldc);
        _tile_stored(2, c + (first + TILE) * ldc, 4 * ldc);
        _tile_stored(3, c + (first + TILE) * ldc + 16, 4 * ldc);
    }
    if (first >= rows) return;
    _tile_zero(0); _tile_zero(1);
    for (int64_t k = 0; k < depth; k++) {
        _tile_loadd(6, b + k * 1024, 64);
        _tile_loadd(7, b + k * 1024 + 512, 64);
        for (int64_t part = 0; part < num_parts; part++) {
            _tile_loadd(4, s->parts[part] + first * s->stride + k * 32, pitch);
            _tile_dpbf16ps(0, 4, 6);
            _tile_dpbf16ps(1, 4, 7);
        }
    }
    _tile_stored(0, c + first * ldc, 4 * ldc);
    _tile_stored(1, c + first * ldc + 16, 4 * ldc);
}
#else
#define HAS_MATRIX_UNIT 0

static void matrix_unit_on(void) {}
static void matrix_unit_off(void) {}
#endif

/* Split or round a's rows as ``weight`` needs them. */
static void prepare(const Model *m, const Scratch *s, const Weight *weight, const float *a,
                    int64_t lda, int64_t rows) {
#if HAS_MATRIX_UNIT
    if (weight->narrow) split(s, a, lda, rows, weight->num_in, m->num_parts);
#endif
#if HAS_INTEGERS
    if (weight->integers) round_rows(s, a, lda, rows, weight->num_in);
#endif
    (void)m, (void)s, (void)weight, (void)a, (void)lda, (void)rows;
}

/* c[:, 0:32] = a w for one panel, after ``prepare``. */
static void one_panel(const Model *m, const Scratch *s, const Weight *w, int64_t panel,
                      const float *a, int64_t lda, int64_t rows, float *c, int64_t ldc) {
#if HAS_MATRIX_UNIT
    if (w->narrow) {
        const uint16_t *b = w->narrow + panel * PANEL * up_to(w->num_in, 32);
        narrow_panel(s, rows, b, w->num_in, m->num_parts, c, ldc);
        return;
    }
#endif
#if HAS_INTEGERS
    if (w->integers) {
        const uint8_t *b = w->integers + panel * panel_bytes(w->num_in);
        integer_panel(s, rows, b, w->num_in, c, ldc);
        return;
    }
#endif
    (void)m, (void)s;
    wide_panel(a, lda, 1, rows, w->wide + panel * PANEL * w->num_in, w->num_in, c, ldc);
}

/* c = a w^T; c has room for the rows up to a multiple of 16 and the columns up to one of 32. */
static void product(const Model *m, const Scratch *s, const Weight *w, const float *a, int64_t lda,
                    int64_t rows, float *c, int64_t ldc) {
    prepare(m, s, w, a, lda, rows);
    for (int64_t panel = 0; panel * PANEL < w->num_out; panel++)
        one_panel(m, s, w, panel, a, lda, rows, c + panel * PANEL, ldc);
}

/* c = silu(a gate^T) * (a up^T), the gate in the epilogue of each panel. */
static void gated_product(const Model *m, const Scratch *s, const Weight *w, const float *a,
                          int64_t lda, int64_t rows, float *c, int64_t ldc) {
    prepare(m, s, w, a, lda, rows);
    for (int64_t panel = 0; panel * PANEL < w->num_out; panel++) {
        one_panel(m, s, w, panel, a, lda, rows, s->panel, PANEL);
        for (int64_t i = 0; i < rows; i++)
            for (int64_t j = 0; j < PANEL / 2; j += WIDTH) {
                vf gate = load(s->panel + i * PANEL + j);
                vf up = load(s->panel + i * PANEL + PANEL / 2 + j);
                store(c + i * ldc + panel * (PANEL / 2) + j, gate * sigmoid(gate) * up);
            }
    }
}

#endif
