/* Blocks of a stack: mixer and MLP, added and normed. */
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

/* out (columns, ld_out) = in (rows, ld_in) transposed, with zeros from ``rows`` to ``width``. */
static void transpose(const float *in, int64_t ld_in, int64_t rows, int64_t columns, float *out,
                      int64_t ld_out, int64_t width) {
    for (int64_t first = 0; first < columns; first += 16)
        for (int64_t i = 0; i < rows; i++)
            for (int64_t j = first; j < columns && j < first + 16; j++)
                out[j * ld_out + i] = in[i * ld_in + j];
    for (int64_t j = 0; j < columns; j++)
        for (int64_t i = rows; i < width; i++) out[j * ld_out + i] = 0.0f;
}

/* y = SwiGLU of x over the tokens of each channel; or x = norm(x + y) along the tokens. Each thread
 * has some channels of all cells of a trajectory. */
static void mix_tokens(const Model *m, const Scratch *s, const Block *b, float *x, float *y) {
    const int64_t padded = up_to(m->dim, PANEL), tokens = up_to(m->tokens, PANEL);
    const int64_t hidden = up_to(b->token_down.num_in, PANEL);
    const Slice channels = slice(m->dim, TILE, s->member, s->team->size);
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

/* y = the attention's output for this thread's rows ``in``. */
static void attend(const Model *m, const Scratch *s, const Block *b, const float *in,
                   const Rows *rows, int64_t first, int64_t count) {
    const int64_t padded = up_to(m->dim, PANEL), ld = up_to(3 * m->dim, PANEL);
    const int64_t height = s->cells.count;
    product(m, s, &b->qkv, in, padded, height, own(s, s->wide, ld), ld);
    if (m->norms_queries) norm_queries(m, own(s, s->wide, ld), ld, height);
    meet(s);
    if (m->num_near) attend_near(m, s, b, ld, padded);
    attend_groups(m, s,
                  rows->adjacency ? rows->adjacency + first * m->tokens * m->tokens : NULL, count,
                  ld, padded);
    meet(s);
    product(m, s, &b->out, own(s, s->mixed, padded), padded, height, own(s, s->y, padded), padded);
}

/* x = norm(x + mixer(x)). */
static void mix(const Model *m, const Scratch *s, const Block *b, const Rows *rows, int64_t first,
                int64_t count) {
    const int64_t padded = up_to(m->dim, PANEL), size = m->tokens * padded;
    float *x = own(s, s->x, padded);
    if (m->mixes_tokens) {
        meet(s);
        for (int64_t r = 0; r < count; r++) mix_tokens(m, s, b, s->x + r * size, s->y + r * size);
        meet(s);
    } else {
        attend(m, s, b, x, rows, first, count);
    }
    if (!m->norms_tokens)
        add_norm(m, x, own(s, s->y, padded), x, s->cells.count, m->dim, padded);
}

/* y = the MLP's output for this thread's rows ``in``. */
static void mlp(const Model *m, const Scratch *s, const Block *b, const float *in) {
    const int64_t padded = up_to(m->dim, PANEL), hidden = up_to(b->down.num_in, PANEL);
    const int64_t height = s->cells.count;
    gated_product(m, s, &b->gate_up, in, padded, height, s->hidden, hidden);
    product(m, s, &b->down, s->hidden, hidden, height, own(s, s->y, padded), padded);
}

/* Apply blocks to x, each sum normed. */
static void stack(const Model *m, const Scratch *s, const Block *blocks, int64_t num_blocks,
                  const Rows *rows, int64_t first, int64_t count) {
    const int64_t padded = up_to(m->dim, PANEL);
    float *x = own(s, s->x, padded), *y = own(s, s->y, padded);
    for (const Block *b = blocks; b < blocks + num_blocks; b++) {
        mix(m, s, b, rows, first, count);
        mlp(m, s, b, x);
        add_norm(m, x, y, x, s->cells.count, m->dim, padded);
    }
}

/* Apply the low blocks ``num_passes`` times to x, which is normed before each product and at the
 * end; ``context`` holds the normed copy. */
static void stack_pre_norm(const Model *m, const Scratch *s, int64_t num_passes, const Rows *rows,
                           int64_t first, int64_t count) {
    const int64_t padded = up_to(m->dim, PANEL), height = s->cells.count;
    float *x = own(s, s->x, padded), *y = own(s, s->y, padded), *normed = s->context;
    add_norm(m, x, NULL, normed, height, m->dim, padded);
    for (int64_t i = 0; i < num_passes * m->num_low; i++) {
        const Block *b = m->blocks + i % m->num_low;
        attend(m, s, b, normed, rows, first, count);
        add_norm(m, x, y, normed, height, m->dim, padded);
        mlp(m, s, b, normed);
        add_norm(m, x, y, normed, height, m->dim, padded);
    }
    memcpy(x, normed, 4 * height * padded);
}

#endif
