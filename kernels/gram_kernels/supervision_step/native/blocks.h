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

/* out (columns, ld_out) = in (rows, ld_in) transposed; the padding of out's rows is zero. */
static void transpose(const float *in, int64_t ld_in, int64_t rows, int64_t columns, float *out,
                      int64_t ld_out) {
    for (int64_t first = 0; first < columns; first += 16)
        for (int64_t i = 0; i < rows; i++)
            for (int64_t j = first; j < columns && j < first + 16; j++)
                out[j * ld_out + i] = in[i * ld_in + j];
    for (int64_t j = 0; j < columns; j++)
        for (int64_t i = rows; i < ld_out; i++) out[j * ld_out + i] = 0.0f;
}

/* y = SwiGLU of x over the tokens of each channel; or x = norm(x + y) along the tokens. */
static void mix_tokens(const Model *m, const Scratch *s, const Block *b, float *x, float *y) {
    const int64_t padded = up_to(m->dim, PANEL), tokens = up_to(m->tokens, PANEL);
    const int64_t hidden = up_to(b->token_down.num_in, PANEL);
    transpose(x, padded, m->tokens, m->dim, s->swapped, tokens);
    gated_product(m, s, &b->token_gate_up, s->swapped, tokens, m->dim, s->hidden, hidden);
    product(m, s, &b->token_down, s->hidden, hidden, m->dim, s->mixed, tokens);
    if (m->norms_tokens) {
        add_norm(m, s->swapped, s->mixed, s->swapped, m->dim, m->tokens, tokens);
        transpose(s->swapped, tokens, m->dim, m->tokens, x, padded);
    } else {
        transpose(s->mixed, tokens, m->dim, m->tokens, y, padded);
    }
}

/* y = the attention's output for ``in``. */
static void attend(const Model *m, const Scratch *s, const Block *b, const float *in,
                   const Rows *rows, int64_t first, int64_t count) {
    const int64_t padded = up_to(m->dim, PANEL), ld = up_to(3 * m->dim, PANEL);
    const int64_t height = count * m->tokens;
    product(m, s, &b->qkv, in, padded, height, s->wide, ld);
    if (m->norms_queries) norm_queries(m, s->wide, ld, height);
    for (int64_t r = 0; r < count; r++) {
        if (m->num_near)
            attend_near(m, b, s->wide + r * m->tokens * ld, ld, s->mixed + r * m->tokens * padded,
                        padded);
        for (int64_t group = 0; group < m->num_groups; group++)
            attend_group(m, s, s->wide + r * m->tokens * ld, ld, group,
                         rows->adjacency
                             ? rows->adjacency + (first + r) * m->tokens * m->tokens
                             : NULL,
                         s->mixed + r * m->tokens * padded, padded);
    }
    product(m, s, &b->out, s->mixed, padded, height, s->y, padded);
}

/* x = norm(x + mixer(x)). */
static void mix(const Model *m, const Scratch *s, const Block *b, const Rows *rows, int64_t first,
                int64_t count) {
    const int64_t padded = up_to(m->dim, PANEL), height = count * m->tokens;
    if (m->mixes_tokens)
        for (int64_t r = 0; r < count; r++)
            mix_tokens(m, s, b, s->x + r * m->tokens * padded, s->y + r * m->tokens * padded);
    else
        attend(m, s, b, s->x, rows, first, count);
    if (!m->norms_tokens) add_norm(m, s->x, s->y, s->x, height, m->dim, padded);
}

/* y = the MLP's output for ``in``. */
static void mlp(const Model *m, const Scratch *s, const Block *b, const float *in, int64_t height) {
    const int64_t padded = up_to(m->dim, PANEL), hidden = up_to(b->down.num_in, PANEL);
    gated_product(m, s, &b->gate_up, in, padded, height, s->hidden, hidden);
    product(m, s, &b->down, s->hidden, hidden, height, s->y, padded);
}

/* Apply blocks to x, each sum normed. */
static void stack(const Model *m, const Scratch *s, const Block *blocks, int64_t num_blocks,
                  const Rows *rows, int64_t first, int64_t count) {
    const int64_t padded = up_to(m->dim, PANEL), height = count * m->tokens;
    for (const Block *b = blocks; b < blocks + num_blocks; b++) {
        mix(m, s, b, rows, first, count);
        mlp(m, s, b, s->x, height);
        add_norm(m, s->x, s->y, s->x, height, m->dim, padded);
    }
}

/* Apply the low blocks ``num_passes`` times to x, which is normed before each product and at the
 * end; ``context`` holds the normed copy. */
static void stack_pre_norm(const Model *m, const Scratch *s, int64_t num_passes, const Rows *rows,
                           int64_t first, int64_t count) {
    const int64_t padded = up_to(m->dim, PANEL), height = count * m->tokens;
    float *normed = s->context;
    add_norm(m, s->x, NULL, normed, height, m->dim, padded);
    for (int64_t i = 0; i < num_passes * m->num_low; i++) {
        const Block *b = m->blocks + i % m->num_low;
        attend(m, s, b, normed, rows, first, count);
        add_norm(m, s->x, s->y, normed, height, m->dim, padded);
        mlp(m, s, b, normed, height);
        add_norm(m, s->x, s->y, normed, height, m->dim, padded);
    }
    memcpy(s->x, normed, 4 * height * padded);
}

#endif
