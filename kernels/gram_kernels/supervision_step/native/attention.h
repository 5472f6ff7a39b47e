/* Attention within groups of cells, or to neighbours, one trajectory at a time. */
#ifndef GRAM_ATTENTION_H
#define GRAM_ATTENTION_H

#include "plan.h"
#include "products.h"

#define MAX_PLACES 32 /* limit for neighbourhood heads, rounded up to whole vectors */

/* Copy one head's scaled queries of some places of a group; rotary heads rotate them. */
static void gather_queries(const Model *m, const Scratch *s, const float *qkv, int64_t ld,
                           int64_t head, const int32_t *members, Slice asking) {
    const int64_t width = m->head_dim, half = width / 2;
    const float scale = 1.0f / sqrtf((float)width);
    for (int64_t i = 0; i < asking.count; i++) {
        const int64_t cell = members[asking.first + i];
        const float *q = qkv + cell * ld + head * width;
        float *query = s->queries + i * width;
        for (int64_t c = 0; c < width; c++) query[c] = q[c] * scale;
        if (head < m->first_rotary_head) continue;
        const float *cosine = m->cosines + cell * width, *sine = m->sines + cell * width;
        for (int64_t c = 0; c < half; c++) {
            float q0 = query[c], q1 = query[c + half];
            query[c] = q0 * cosine[c] - q1 * sine[c];
            query[c + half] = q1 * cosine[c + half] + q0 * sine[c + half];
        }
    }
}

/* Copy one head's keys and values of a group; rotary heads rotate keys. Keys go into panels (panel,
 * channel, 32), values into (panel, cell, 32). */
static void gather(const Model *m, const Scratch *s, const float *qkv, int64_t ld, int64_t head,
                   const int32_t *members, int64_t size) {
    const int64_t width = m->head_dim, half = width / 2;
    const int is_rotary = head >= m->first_rotary_head;
    for (int64_t place = 0; place < size; place++) {
        const int64_t cell = members[place];
        const float *k = qkv + cell * ld + m->dim + head * width, *v = k + m->dim;
        float *key = s->keys + place / PANEL * PANEL * width + place % PANEL;
        if (is_rotary) {
            const float *cosine = m->cosines + cell * width, *sine = m->sines + cell * width;
            for (int64_t c = 0; c < half; c++) {
                key[c * PANEL] = k[c] * cosine[c] - k[c + half] * sine[c];
                key[(c + half) * PANEL] = k[c + half] * cosine[c + half] + k[c] * sine[c + half];
            }
        } else {
            for (int64_t c = 0; c < width; c++) key[c * PANEL] = k[c];
        }
        for (int64_t c = 0; c < width; c += PANEL) {
            int64_t count = width - c < PANEL ? width - c : PANEL;
            memcpy(s->values + (c / PANEL * size + place) * PANEL, v + c, 4 * count);
        }
    }
}

/* Softmax over the first ``size`` scores of a row; the rest of the row becomes zero. */
static void softmax(float *row, int64_t size, int64_t padded) {
    vf top = load_first(row, size);
    for (int64_t j = WIDTH; j < padded; j += WIDTH) {
        vf v = load_first(row + j, size - j);
        top = choose(v > top, v, top);
    }
    const float highest = largest(top);
    vf total = {0};
    for (int64_t j = 0; j < padded; j += WIDTH) {
        vf e = exponential(load_first(row + j, size - j) - highest);
        store(row + j, e);
        total += e;
    }
    const vf inverse = splat(1.0f / sum(total));
    for (int64_t j = 0; j < padded; j += WIDTH) store(row + j, load(row + j) * inverse);
}

/* Attend to one group from some of its places; (count, head_dim) results go to their cells of
 * ``mixed``. */
static void attend_group(const Model *m, const Scratch *s, const float *qkv, int64_t ld,
                         int64_t group, Slice asking, const uint8_t *adjacency, float *mixed,
                         int64_t ld_mixed) {
    const int32_t *members = m->members + m->group_starts[group];
    const int64_t size = m->group_starts[group + 1] - m->group_starts[group];
    const int64_t head = m->group_heads[group], width = m->head_dim;
    const int64_t padded = up_to(size, PANEL), padded_width = up_to(width, PANEL);
    gather_queries(m, s, qkv, ld, head, members, asking);
    gather(m, s, qkv, ld, head, members, size);
    for (int64_t j = 0; j < padded; j += PANEL)
        wide_panel(s->queries, width, asking.count, s->keys + j * width, width, s->scores + j,
                   padded);
    if (m->group_is_masked[group])
        for (int64_t i = 0; i < asking.count; i++)
            for (int64_t j = 0; j < size; j++)
                if (asking.first + i != j && !adjacency[(asking.first + i) * m->tokens + j])
                    s->scores[i * padded + j] = -INFINITY;
    for (int64_t i = 0; i < asking.count; i++)
        softmax(s->scores + i * padded, size, up_to(size, WIDTH));
    for (int64_t c = 0; c < padded_width; c += PANEL)
        wide_panel(s->scores, padded, asking.count, s->values + c * size, size, s->attended + c,
                   padded_width);
    for (int64_t i = 0; i < asking.count; i++)
        memcpy(mixed + members[asking.first + i] * ld_mixed + head * width,
               s->attended + i * padded_width, 4 * width);
}

/* What a place of a group costs: its scores, in whole panels, and copies. */
static int64_t place_cost(const Model *m, int64_t group) {
    return up_to(m->group_starts[group + 1] - m->group_starts[group], PANEL) + PANEL;
}

/* Attend within the groups of ``count`` trajectories: each piece is a part of the cost of all
 * places, in the order of groups. */
static void attend_groups(const Model *m, const Scratch *s, const uint8_t *adjacency, int64_t count,
                          int64_t ld, int64_t ld_mixed) {
    int64_t cost = 0, done = 0;
    for (int64_t group = 0; group < m->num_groups; group++)
        cost += place_cost(m, group) * (m->group_starts[group + 1] - m->group_starts[group]);
    const Slice part = slice(count * cost, 1, s->piece, s->num_pieces);
    for (int64_t r = 0; r < count; r++)
        for (int64_t group = 0; group < m->num_groups; group++) {
            const int64_t size = m->group_starts[group + 1] - m->group_starts[group];
            const int64_t each = place_cost(m, group);
            const int64_t first = within(quotient_up(part.first - done, each), size);
            const int64_t end = within(quotient_up(part.first + part.count - done, each), size);
            done += size * each;
            if (first < end)
                attend_group(m, s, s->wide + r * m->tokens * ld, ld, group,
                             (Slice){first, end - first},
                             adjacency ? adjacency + r * m->tokens * m->tokens : NULL,
                             s->mixed + r * m->tokens * ld_mixed, ld_mixed);
        }
}

/* The sum of q (k + d) over the channels of a head. */
static float likeness(const float *q, const float *k, const float *d, int64_t width) {
    vf total = {0};
    int64_t c = 0;
    for (; c + WIDTH <= width; c += WIDTH) total += load(q + c) * (load(k + c) + load(d + c));
    float rest = 0.0f;
    for (; c < width; c++) rest += q[c] * (k[c] + d[c]);
    return sum(total) + rest;
}

/* out += weight (v + d) over the channels of a head. */
static void add_share(float *out, float weight, const float *v, const float *d, int64_t width) {
    int64_t c = 0;
    for (; c + WIDTH <= width; c += WIDTH)
        store(out + c, load(out + c) + weight * (load(v + c) + load(d + c)));
    for (; c < width; c++) out[c] += weight * (v[c] + d[c]);
}

/* Attend to the places around each of this piece's cells, in the neighbourhood heads. */
static void attend_near(const Model *m, const Scratch *s, const Block *b, int64_t ld,
                        int64_t ld_mixed) {
    const int64_t width = m->head_dim, places = m->num_places, padded = up_to(places, WIDTH);
    const float scale = 1.0f / sqrtf((float)width);
    const float *to_values = b->directions + places * m->num_near * width;
    float shares[MAX_PLACES];
    for (int64_t row = s->cells.first; row < s->cells.first + s->cells.count; row++)
        for (int64_t head = 0; head < m->num_near; head++) {
            const int64_t channel = (m->first_near + head) * width, cell = row % m->tokens;
            const float *qkv = s->wide + (row - cell) * ld, *q = qkv + cell * ld + channel;
            float *out = s->mixed + row * ld_mixed + channel;
            for (int64_t p = 0; p < places; p++) {
                const int64_t other = m->neighbours[p * m->tokens + cell];
                const float *k = qkv + other * ld + m->dim + channel;
                const float *d = b->directions + (p * m->num_near + head) * width;
                shares[p] = other < 0 ? -INFINITY : scale * likeness(q, k, d, width);
            }
            softmax(shares, places, padded);
            for (int64_t c = 0; c < width; c++) out[c] = 0.0f;
            for (int64_t p = 0; p < places; p++) {
                const int64_t other = m->neighbours[p * m->tokens + cell];
                const float *v = qkv + other * ld + 2 * m->dim + channel;
                const float *d = to_values + (p * m->num_near + head) * width;
                if (other >= 0) add_share(out, shares[p], v, d, width);
            }
        }
}

#endif
