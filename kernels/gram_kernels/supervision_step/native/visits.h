/* Transitions as a list of visits: the blocks that a trajectory passes through one after another. */
#ifndef GRAM_VISITS_H
#define GRAM_VISITS_H

#include "blocks.h"
#include "noise.h"

/* Draw the normals of this piece's cells of a row, ``size`` for each. */
static void draw(const Scratch *s, const Rows *rows, int64_t row, Slice cells, int64_t size,
                 uint32_t purpose) {
    normals(s->noise, cells.first * size, (cells.first + cells.count) * size,
            (uint64_t)rows->keys[row], (uint32_t)rows->keys[rows->num_rows + row],
            (uint32_t)rows->keys[2 * rows->num_rows + row], purpose);
}

/* Add noise in place of a value to the unknown cells of x: standard normals times the embedding of
 * each value. */
static void add_input_noise(const Model *m, const Scratch *s, const Rows *rows, int64_t first,
                            int64_t count, int64_t transition) {
    const int64_t num_values = m->vocabulary - FIRST_VALUE, padded = up_to(m->dim, PANEL);
    for (int64_t r = 0; r < count; r++) {
        const Slice cells = cells_of(m, s->cells, r);
        float *x = s->x + r * m->tokens * padded;
        draw(s, rows, first + r, cells, num_values, (uint32_t)(INPUT_PURPOSE | transition));
        for (int64_t t = cells.first; t < cells.first + cells.count; t++) {
            if (rows->givens[(first + r) * m->tokens + t] != BLANK) continue;
            for (int64_t v = 0; v < num_values; v++) {
                const float normal = s->noise[t * num_values + v];
                const float *value = m->embedding + (FIRST_VALUE + v) * m->dim;
                for (int64_t j = 0; j < m->dim; j++) x[t * padded + j] += normal * value[j];
            }
        }
    }
}

/* out = a + the input embedding of this piece's tokens, of rows from ``first`` on; out has padded
 * rows. */
static void add_givens(const Model *m, const Scratch *s, const float *a, const Rows *rows,
                       int64_t first, float *out) {
    const int64_t padded = up_to(m->dim, PANEL);
    for (int64_t i = 0; i < s->cells.count; i++, a += m->dim, out += padded) {
        const int64_t at = s->cells.first + i, cell = at % m->tokens - m->num_prefix;
        memcpy(out, a, 4 * m->dim);
        if (cell >= 0) {
            const int32_t given = rows->givens[(first + at / m->tokens) * num_cells(m) + cell];
            const float *embedding = m->embedding + given * m->dim;
            for (int64_t j = 0; j < m->dim; j++) out[j] += embedding[j];
        }
        if (m->positions) {
            const float *position = m->positions + at % m->tokens * m->dim;
            for (int64_t j = 0; j < m->dim; j++) out[j] += position[j];
        }
        for (int64_t j = m->dim; j < padded; j++) out[j] = 0.0f;
    }
}

/* x = a + b for this piece's cells, whose rows are ``ld`` apart in b. */
static void add_into(const Model *m, const Scratch *s, const float *a, const float *b, int64_t ld) {
    const int64_t padded = up_to(m->dim, PANEL);
    float *x = own(s, s->x, padded);
    for (int64_t i = 0; i < s->cells.count; i++, a += m->dim, b += ld, x += padded) {
        for (int64_t j = 0; j < m->dim; j++) x[j] = a[j] + b[j];
        for (int64_t j = m->dim; j < padded; j++) x[j] = 0.0f;
    }
}

/* Write this piece's rows of x to rows of dim. */
static void keep(const Model *m, const Scratch *s, float *rows) {
    const float *x = own(s, s->x, up_to(m->dim, PANEL));
    for (int64_t i = 0; i < s->cells.count; i++, x += up_to(m->dim, PANEL), rows += m->dim)
        memcpy(rows, x, 4 * m->dim);
}

/* h = u + mu(u) + sigma(u) eps; u is in x. */
static void guide(const Model *m, const Scratch *s, const Rows *rows, int64_t first, int64_t count,
                  int64_t transition) {
    const int64_t padded = up_to(m->dim, PANEL), hidden = 2 * up_to(m->guidance_dim, PANEL);
    const int64_t height = s->cells.count;
    float *x = own(s, s->x, padded), *y = own(s, s->y, padded), *mixed = own(s, s->mixed, padded);
    float *h = rows->high + (first * m->tokens + s->cells.first) * m->dim;
    gated_product(m, s, &m->guidance_gate_up, x, padded, height, s->hidden, hidden);
    product(m, s, &m->mean_down, s->hidden, hidden, height, y, padded);
    product(m, s, &m->deviation_down, s->hidden + hidden / 2, hidden, height, mixed, padded);
    for (int64_t r = 0; r < count; r++) {
        const Slice cells = cells_of(m, s->cells, r);
        if (m->has_noise) draw(s, rows, first + r, cells, m->dim, (uint32_t)transition);
        for (int64_t t = cells.first; t < cells.first + cells.count; t++) {
            for (int64_t j = 0; j < padded; j += WIDTH) {
                vf share = sigmoid(load(mixed + j) + m->sigma_offset);
                store(mixed + j, m->sigma_min + m->sigma_span * share);
            }
            for (int64_t j = 0; j < m->dim; j++) {
                h[j] = x[j] + y[j];
                if (m->has_noise) h[j] += mixed[j] * s->noise[t * m->dim + j];
            }
            for (int64_t j = m->dim; j < padded; j++) mixed[j] = 0.0f;
            x += padded, y += padded, mixed += padded, h += m->dim;
        }
    }
}

/* The block that a trajectory passes through as its ``visit``th. */
typedef struct {
    const Block *block;
    int64_t transition;
    int is_first, is_last; /* of its pass */
    int is_high, begins, ends; /* its transition */
} Visit;

static int64_t num_low_visits(const Model *m) {
    return m->num_low * (m->num_inner_steps + !m->num_high);
}

static int64_t num_visits(const Model *m) {
    return m->num_transitions * (num_low_visits(m) + m->num_high);
}

static Visit visit_of(const Model *m, int64_t visit) {
    const int64_t low = num_low_visits(m), all = low + m->num_high, at = visit % all;
    const int is_high = at >= low;
    const int64_t pass = is_high ? m->num_high : m->num_low, place = (at - is_high * low) % pass;
    return (Visit){.block = m->blocks + is_high * m->num_low + place,
                   .transition = visit / all,
                   .is_first = place == 0,
                   .is_last = place == pass - 1,
                   .is_high = is_high,
                   .begins = at == 0,
                   .ends = at == all - 1};
}

/* What comes before the mixer of a visit, for this piece's cells. */
static void begin_visit(const Model *m, const Scratch *s, Visit v, const Rows *rows,
                        int64_t first, int64_t count) {
    const int64_t start = first * m->tokens + s->cells.first, padded = up_to(m->dim, PANEL);
    const float *high = rows->high + start * m->dim, *low = rows->low + start * m->dim;
    float *x = own(s, s->x, padded), *context = own(s, s->context, padded);
    if (m->is_pre_norm && v.begins) {
        add_givens(m, s, high, rows, first, x);
        if (m->has_input_noise) add_input_noise(m, s, rows, first, count, v.transition);
        add_norm(m, x, NULL, context, s->cells.count, m->dim, padded);
    }
    if (m->num_high && v.begins) add_givens(m, s, high, rows, first, context);
    if (v.is_first && v.is_high)
        add_into(m, s, high, low, m->dim);
    else if (v.is_first && m->num_high)
        add_into(m, s, low, context, padded);
    else if (v.is_first && !m->is_pre_norm)
        add_givens(m, s, high, rows, first, x);
    before_mixing(m, s, v.block, m->is_pre_norm ? context : x);
}

/* What comes after the mixer of a visit, for this piece's cells. */
static void end_visit(const Model *m, const Scratch *s, Visit v, const Rows *rows,
                      int64_t first, int64_t count) {
    const int64_t start = (first * m->tokens + s->cells.first) * m->dim;
    const int64_t padded = up_to(m->dim, PANEL);
    after_mixing(m, s, v.block);
    if (m->is_pre_norm && v.ends)
        memcpy(own(s, s->x, padded), own(s, s->context, padded), 4 * s->cells.count * padded);
    if (v.ends && m->has_guidance)
        guide(m, s, rows, first, count, v.transition);
    else if (v.ends || (v.is_last && !m->num_high && !m->is_pre_norm))
        keep(m, s, rows->high + start);
    else if (v.is_last && m->num_high)
        keep(m, s, rows->low + start);
}

#endif
