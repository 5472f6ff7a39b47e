/* Blocks: a mixer and an MLP, added and normed, of which only the mixer reads other cells. */
#ifndef GRAM_BLOCKS_H
#define GRAM_BLOCKS_H

#include "attention.h"

/* x = x + y (without y, x stays), normed = x / rms(x) over ``size`` columns; those up to ``padded``
 * hold zeros. ``normed`` may be x. */
static void add_norm(const Model *m, float *x, const float *y, float *normed, int64_t rows,
                     int64_t size, int64_t padded) {
    for (int64_t i = 0; i < rows; i++, x += padded, normed += padded) {
        vf squares = {0};
        for (int64_t j = 0; j < padded; j += WIDTH) {
            vf v = load(x + j);
            if (y) store(x + j, v += load(y + i * padded + j));
            squares += v * v;
        }
        const vf scale = splat(1.0f / sqrtf(sum(squares) / (float)size + m->epsilon));
        for (int64_t j = 0; j < padded; j += WIDTH) store(normed + j, load(x + j) * scale);
    }
}

/* Divide every head's queries and keys by their RMS. */
static void norm_queries(const Model *m, float *qkv, int64_t ld, int64_t height) {
    for (int64_t i = 0; i < height; i++)
        for (int64_t head = 0; head < 2 * m->num_heads; head++) {
            float *x = qkv + i * ld + head * m->head_dim, squares = 0.0f;
            for (int64_t c = 0; c < m->head_dim; c++) squares += x[c] * x[c];
            const float scale = 1.0f / sqrtf(squares / (float)m->head_dim + m->epsilon);
            for (int64_t c = 0; c < m->head_dim; c++) x[c] *= scale;
        }
}

/* y = SwiGLU of x over the tokens of each channel; or x = norm(x + y) along the tokens. Each piece
 * is some channels of all cells of a trajectory. */
static void mix_tokens(const Model *m, const Scratch *s, const Block *b, float *x, float *y) {
    const int64_t padded = up_to(m->dim, PANEL), tokens = up_to(m->tokens, PANEL);
    const int64_t hidden = up_to(b->token_down.num_in, PANEL);
    const Slice channels = slice(m->dim, TILE, s->piece, s->num_pieces);
    if (!channels.count) return;
    const int is_last = channels.first + channels.count == m->dim;
    const int64_t width = channels.count + (is_last ? padded - m->dim : 0);
    float *mixed = s->mixed + channels.first * tokens;
    transpose(x + channels.first, padded, m->tokens, channels.count, s->swapped, tokens, tokens);
    gated_product(m, s, &b->token_gate_up, s->swapped, tokens, channels.count, s->hidden, hidden);
    product(m, s, &b->token_down, s->hidden, hidden, channels.count, mixed, tokens);
    if (m->norms_tokens) {
        add_norm(m, s->swapped, mixed, s->swapped, channels.count, m->tokens, tokens);
        transpose(s->swapped, tokens, channels.count, m->tokens, x + channels.first, padded, width);
    } else {
        transpose(mixed, tokens, channels.count, m->tokens, y + channels.first, padded, width);
    }
}

/* What the mixer reads of this piece's cells, from their rows ``in``. */
static void before_mixing(const Model *m, const Scratch *s, const Block *b, const float *in) {
    const int64_t padded = up_to(m->dim, PANEL), ld = up_to(3 * m->dim, PANEL);
    float *qkv = own(s, s->wide, ld);
    if (m->mixes_tokens) return;
    product(m, s, &b->qkv, in, padded, s->cells.count, qkv, ld);
    if (m->norms_queries) norm_queries(m, qkv, ld, s->cells.count);
}

/* The part of the mixer that reads and writes several cells. */
static void mix(const Model *m, const Scratch *s, const Block *b, const uint8_t *adjacency,
                int64_t count) {
    const int64_t padded = up_to(m->dim, PANEL), ld = up_to(3 * m->dim, PANEL);
    const int64_t size = m->tokens * padded;
    if (m->mixes_tokens) {
        for (int64_t r = 0; r < count; r++) mix_tokens(m, s, b, s->x + r * size, s->y + r * size);
        return;
    }
    if (m->num_near) attend_near(m, s, b, ld, padded);
    attend_groups(m, s, adjacency, count, ld, padded);
}

/* Add the mixer's output and the MLP's to x, for this piece's cells: x = norm(x + f(x)) twice, or,
 * where only what products read is normed, x = x + f(normed), the normed copy in ``context``. */
static void after_mixing(const Model *m, const Scratch *s, const Block *b) {
    const int64_t padded = up_to(m->dim, PANEL), hidden = up_to(b->down.num_in, PANEL);
    const int64_t height = s->cells.count;
    float *x = own(s, s->x, padded), *y = own(s, s->y, padded);
    float *normed = m->is_pre_norm ? own(s, s->context, padded) : x;
    if (!m->mixes_tokens)
        product(m, s, &b->out, own(s, s->mixed, padded), padded, height, y, padded);
    if (!m->norms_tokens) add_norm(m, x, y, normed, height, m->dim, padded);
    gated_product(m, s, &b->gate_up, normed, padded, height, s->hidden, hidden);
    product(m, s, &b->down, s->hidden, hidden, height, y, padded);
    add_norm(m, x, y, normed, height, m->dim, padded);
}

#endif
