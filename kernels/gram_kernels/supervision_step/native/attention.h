/* Attention within groups of cells, or to neighbours, one trajectory at a time. */
#ifndef GRAM_ATTENTION_H
#define GRAM_ATTENTION_H

#include "plan.h"
#include "products.h"

#define MAX_PLACES 32 /* limit for neighbourhood heads, rounded up to whole vectors */

/* Copy a row of a head. */
static inline void copy_head(float *to, const float *from, int64_t width) {
    int64_t c = 0;
    for (; c + WIDTH <= width; c += WIDTH) store(to + c, load(from + c));
    for (; c < width; c++) to[c] = from[c];
}

/* Rotate a head's row of a cell; ``out`` may be ``in``. */
static inline void rotate(const Model *m, int64_t cell, const float *in, float *out) {
    const int64_t half = m->head_dim / 2;
    const float *cosine = m->cosines + cell * m->head_dim, *sine = m->sines + cell * m->head_dim;
    int64_t c = 0;
    for (; c + WIDTH <= half; c += WIDTH) {
        const vf low = load(in + c), high = load(in + c + half);
        store(out + c, low * load(cosine + c) - high * load(sine + c));
        store(out + c + half, high * load(cosine + c + half) + low * load(sine + c + half));
    }
    for (; c < half; c++) {
        const float low = in[c], high = in[c + half];
        out[c] = low * cosine[c] - high * sine[c];
        out[c + half] = high * cosine[c + half] + low * sine[c + half];
    }
}

/* A head's scaled queries of some places of a group, (channel, place); rotary heads rotate them. */
static void gather_queries(const Model *m, const Scratch *s, const float *qkv, int64_t ld,
                           int64_t head, const int32_t *asking, int64_t count) {
    const int64_t width = m->head_dim;
    const float scale = 1.0f / sqrtf((float)width);
    float *query = s->attended;
    for (int64_t i = 0; i < count; i++, query += width) {
        const float *q = qkv + asking[i] * ld + head * width;
        for (int64_t c = 0; c < width; c++) query[c] = q[c] * scale;
        if (head >= m->first_rotary_head) rotate(m, asking[i], query, query);
    }
    transpose(s->attended, width, count, width, s->queries, WIDTH, WIDTH);
}

/* Copy one head's keys and values of a group; rotary heads rotate keys. Keys have a row for each
 * cell, values go into (panel, cell, 32). */
static void gather(const Model *m, const Scratch *s, const float *qkv, int64_t ld, int64_t head,
                   const int32_t *members, int64_t size) {
    const int64_t width = m->head_dim;
    for (int64_t place = 0; place < size; place++) {
        const int64_t cell = members[place];
        const float *k = qkv + cell * ld + m->dim + head * width, *v = k + m->dim;
        float *key = s->keys + place * width;
        if (head < m->first_rotary_head) copy_head(key, k, width);
        else rotate(m, cell, k, key);
        for (int64_t c = 0; c < width; c += PANEL)
            copy_head(s->values + (c / PANEL * size + place) * PANEL, v + c,
                      least(width - c, PANEL));
    }
}

/* Softmax of ``size`` scores in each lane. */
static void softmax_of_lanes(float *scores, int64_t size) {
    vf top = load(scores), totals[WIDTH] = {{0}};
    for (int64_t k = 1; k < size; k++) top = larger(load(scores + k * WIDTH), top);
    for (int64_t k = 0; k < size; k++) {
        const vf e = exponential(load(scores + k * WIDTH) - top);
        store(scores + k * WIDTH, e);
        totals[k % WIDTH] += e;
    }
    for (int half = WIDTH / 2; half; half /= 2)
        for (int i = 0; i < half; i++) totals[i] += totals[i + half];
    const vf inverse = 1.0f / totals[0];
    for (int64_t k = 0; k < size; k++)
        store(scores + k * WIDTH, load(scores + k * WIDTH) * inverse);
}

/* Attend to one group from some of its places, a vector of them at a time; (count, head_dim)
 * results go to their cells of ``mixed``. */
static void attend_group(const Model *m, const Scratch *s, const float *qkv, int64_t ld,
                         int64_t group, Slice asking, const uint8_t *adjacency, float *mixed,
                         int64_t ld_mixed) {
    const int32_t *members = m->members + m->group_starts[group];
    const int64_t size = m->group_starts[group + 1] - m->group_starts[group];
    const int64_t head = m->group_heads[group], width = m->head_dim;
    const int64_t padded_width = up_to(width, PANEL), end = asking.first + asking.count;
    gather(m, s, qkv, ld, head, members, size);
    for (int64_t first = asking.first; first < end; first += WIDTH) {
        const int64_t count = least(end - first, WIDTH);
        gather_queries(m, s, qkv, ld, head, members + first, count);
        in_tiles(vector_rows, s->keys, width, 1, size, s->queries, width, s->scores, WIDTH);
        if (m->group_is_masked[group])
            for (int64_t i = 0; i < count; i++)
                for (int64_t j = 0; j < size; j++)
                    if (first + i != j && !adjacency[(first + i) * m->tokens + j])
                        s->scores[j * WIDTH + i] = -INFINITY;
        softmax_of_lanes(s->scores, size);
        for (int64_t c = 0; c < padded_width; c += PANEL)
            wide_panel(s->scores, 1, WIDTH, count, s->values + c * size, size, s->attended + c,
                       padded_width);
        for (int64_t i = 0; i < count; i++)
            copy_head(mixed + members[first + i] * ld_mixed + head * width,
                      s->attended + i * padded_width, width);
    }
}

/* What a place of a group costs: its scores, and what is done once. */
static int64_t place_cost(const Model *m, int64_t group) {
    return m->group_starts[group + 1] - m->group_starts[group] + 24;
}

/* The first places of a group that have a part of its cost, rounded to whole vectors. */
static int64_t places_of(int64_t cost, int64_t each, int64_t size) {
    if (cost >= size * each) return size;
    return within((cost + each * WIDTH / 2) / (each * WIDTH) * WIDTH, size);
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
            const int64_t first = places_of(part.first - done, each, size);
            const int64_t end = places_of(part.first + part.count - done, each, size);
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
