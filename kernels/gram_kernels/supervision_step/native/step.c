/* A supervision step of rows, in place: transitions, decode, heads, verification.
 *
 * A thread takes a few trajectories through the whole step; nothing is shared but the weights. */
#define _GNU_SOURCE
#include <pthread.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdlib.h>
#ifdef __linux__
#include <sys/syscall.h>
#include <unistd.h>
#endif

#include "blocks.h"
#include "model.h"
#include "noise.h"
#include "products.h"
#include "vectors.h"
#include "verdict.h"

#define MAX_THREADS 64

/* Add noise in place of a value to the unknown cells of x: standard normals times the embedding of
 * each value. */
static void add_input_noise(const Model *m, const Scratch *s, const Rows *rows, int64_t first,
                            int64_t count, int64_t transition) {
    const int64_t num_values = m->vocabulary - FIRST_VALUE, padded = up_to(m->dim, PANEL);
    for (int64_t row = first; row < first + count; row++) {
        float *x = s->x + (row - first) * m->tokens * padded;
        normals(s->noise, m->tokens * num_values, (uint64_t)rows->keys[row],
                (uint32_t)rows->keys[rows->num_rows + row],
                (uint32_t)rows->keys[2 * rows->num_rows + row],
                (uint32_t)(INPUT_PURPOSE | transition));
        for (int64_t t = 0; t < m->tokens; t++) {
            if (rows->givens[row * m->tokens + t] != BLANK) continue;
            for (int64_t v = 0; v < num_values; v++) {
                const float draw = s->noise[t * num_values + v];
                const float *value = m->embedding + (FIRST_VALUE + v) * m->dim;
                for (int64_t j = 0; j < m->dim; j++) x[t * padded + j] += draw * value[j];
            }
        }
    }
}

/* x = a + b, rows of dim into padded rows; b is the embedding of the givens, if any. */
static void add_into(const Model *m, float *x, const float *a, const float *b,
                     const int32_t *givens, int64_t height) {
    const int64_t padded = up_to(m->dim, PANEL);
    for (int64_t i = 0; i < height; i++, x += padded) {
        const float *left = a + i * m->dim;
        const float *right = givens ? m->embedding + givens[i] * m->dim : b + i * m->dim;
        for (int64_t j = 0; j < m->dim; j++) x[j] = left[j] + right[j];
        if (givens && m->positions)
            for (int64_t j = 0; j < m->dim; j++) x[j] += m->positions[i % m->tokens * m->dim + j];
        for (int64_t j = m->dim; j < padded; j++) x[j] = 0.0f;
    }
}

static void keep(const Model *m, const float *x, float *rows, int64_t height) {
    for (int64_t i = 0; i < height; i++)
        memcpy(rows + i * m->dim, x + i * up_to(m->dim, PANEL), 4 * m->dim);
}

/* h = u + mu(u) + sigma(u) eps; u is in x. */
static void guide(const Model *m, const Scratch *s, const Rows *rows, int64_t first, int64_t count,
                  int64_t transition) {
    const int64_t padded = up_to(m->dim, PANEL), hidden = 2 * up_to(m->guidance_dim, PANEL);
    const int64_t height = count * m->tokens, cells = m->tokens * m->dim;
    gated_product(m, s, &m->guidance_gate_up, s->x, padded, height, s->hidden, hidden);
    product(m, s, &m->mean_down, s->hidden, hidden, height, s->y, padded);
    product(m, s, &m->deviation_down, s->hidden + hidden / 2, hidden, height, s->mixed, padded);
    for (int64_t r = 0; r < count; r++) {
        if (m->has_noise)
            normals(s->noise, cells, (uint64_t)rows->keys[first + r],
                    (uint32_t)rows->keys[rows->num_rows + first + r],
                    (uint32_t)rows->keys[2 * rows->num_rows + first + r], (uint32_t)transition);
        for (int64_t t = 0; t < m->tokens; t++) {
            const int64_t at = (r * m->tokens + t) * padded;
            float *h = rows->high + (first + r) * cells + t * m->dim;
            for (int64_t j = 0; j < padded; j += WIDTH) {
                vf share = sigmoid(load(s->mixed + at + j) + m->sigma_offset);
                store(s->mixed + at + j, m->sigma_min + m->sigma_span * share);
            }
            for (int64_t j = 0; j < m->dim; j++) {
                h[j] = s->x[at + j] + s->y[at + j];
                if (m->has_noise) h[j] += s->mixed[at + j] * s->noise[t * m->dim + j];
            }
            for (int64_t j = m->dim; j < padded; j++) s->mixed[at + j] = 0.0f;
        }
    }
}

static void transit(const Model *m, const Scratch *s, const Rows *rows, int64_t first,
                    int64_t count, int64_t transition) {
    const int64_t cells = m->tokens * m->dim, height = count * m->tokens;
    float *high = rows->high + first * cells, *low = rows->low + first * cells;
    const int32_t *givens = rows->givens + first * m->tokens;
    if (m->is_pre_norm) {
        add_into(m, s->x, high, NULL, givens, height);
        if (m->has_input_noise) add_input_noise(m, s, rows, first, count, transition);
        stack_pre_norm(m, s, m->num_inner_steps + 1, rows, first, count);
    } else if (!m->num_high) {
        for (int64_t k = 0; k <= m->num_inner_steps; k++) {
            add_into(m, s->x, high, NULL, givens, height);
            stack(m, s, m->blocks, m->num_low, rows, first, count);
            keep(m, s->x, high, height);
        }
    } else {
        for (int64_t i = 0; i < height; i++) {
            const float *embedding = m->embedding + givens[i] * m->dim;
            const float *position = m->positions ? m->positions + i % m->tokens * m->dim : NULL;
            for (int64_t j = 0; j < m->dim; j++)
                s->context[i * m->dim + j] =
                    high[i * m->dim + j] + embedding[j] + (position ? position[j] : 0.0f);
        }
        for (int64_t k = 0; k < m->num_inner_steps; k++) {
            add_into(m, s->x, low, s->context, NULL, height);
            stack(m, s, m->blocks, m->num_low, rows, first, count);
            keep(m, s->x, low, height);
        }
        add_into(m, s->x, high, low, NULL, height);
        stack(m, s, m->blocks + m->num_low, m->num_high, rows, first, count);
    }
    if (m->has_guidance)
        guide(m, s, rows, first, count, transition);
    else
        keep(m, s->x, high, height);
}

/* Halt and value heads over the first token of h or the mean of all. */
static void read_heads(const Model *m, const Scratch *s, const float *high, float *halt,
                       float *value) {
    const int64_t counted = m->reads_first ? 1 : m->tokens;
    float *summary = s->panel, sums[2];
    for (int64_t j = 0; j < m->dim; j++) summary[j] = 0.0f;
    for (int64_t t = 0; t < counted; t++)
        for (int64_t j = 0; j < m->dim; j++) summary[j] += high[t * m->dim + j];
    for (int head = 0; head < 2; head++) {
        sums[head] = 0.0f;
        for (int64_t j = 0; j < m->dim; j++)
            sums[head] += summary[j] / (float)counted * m->readout[head * m->dim + j];
        sums[head] += m->readout_bias[head];
    }
    *halt = sums[0];
    *value = 1.0f / (1.0f + expf(-sums[1]));
}

/* Decode h, verify the answer and write the row's facts. */
static void conclude(const Model *m, const Scratch *s, const Rows *rows, int64_t first,
                     int64_t count) {
    const int64_t cells = m->tokens * m->dim, padded = up_to(m->dim, PANEL);
    const int64_t ld = up_to(m->vocabulary, PANEL), height = count * m->tokens;
    for (int64_t i = 0; i < height; i++)
        memcpy(s->x + i * padded, rows->high + first * cells + i * m->dim, 4 * m->dim);
    product(m, s, &m->decoder, s->x, padded, height, s->wide, ld);
    for (int64_t row = first; row < first + count; row++) {
        const int32_t *givens = rows->givens + row * m->tokens;
        const uint8_t *adjacency =
            rows->adjacency ? rows->adjacency + row * m->tokens * m->tokens : NULL;
        int32_t *facts = rows->facts + row * (NUM_FACTS + m->tokens), *answer = facts + NUM_FACTS;
        int is_finite = 1;
        float halt, value;
        for (int64_t t = 0; t < m->tokens; t++) {
            const float *logits = s->wide + ((row - first) * m->tokens + t) * ld;
            int32_t likely = (int32_t)m->lowest_token;
            for (int32_t token = 0; token < m->vocabulary; token++) {
                is_finite &= isfinite(logits[token]) != 0;
                if (token > likely && logits[token] > logits[likely]) likely = token;
            }
            answer[t] = givens[t] == BLANK ? likely : givens[t];
        }
        read_heads(m, s, rows->high + row * cells, &halt, &value);
        const int32_t violations = num_violations(m, answer, givens, adjacency);
        facts[0] = violations == 0;
        facts[1] = halt > 0.0f;
        facts[2] = is_finite && isfinite(halt) && isfinite(value);
        facts[3] = violations;
        memcpy(facts + 4, &value, 4);
        rows->keys[2 * rows->num_rows + row]++;
    }
}

/* Assign a thread's buffers within memory; with NULL, only count. Returns bytes. */
static int64_t lay_out(const Model *m, Scratch *s, char *memory) {
    const int64_t rows = up_to(m->max_rows * m->tokens, 2 * TILE), cells = up_to(m->tokens, PANEL);
    const int64_t padded = up_to(m->dim, PANEL), width = up_to(m->head_dim, PANEL);
    int64_t hidden = 2 * up_to(m->guidance_dim, PANEL), deepest, used = 0;
    for (int64_t b = 0; b < m->num_low + m->num_high; b++) {
        const int64_t size = up_to(m->blocks[b].down.num_in, PANEL);
        const int64_t mixing = up_to(m->blocks[b].token_down.num_in, PANEL);
        hidden = size > hidden ? size : hidden;
        hidden = mixing > hidden ? mixing : hidden;
    }
    const int64_t swapped = m->mixes_tokens ? padded : 0, height = rows > padded ? rows : padded;
    const int64_t heights = m->mixes_tokens ? height : rows;
    deepest = hidden > padded ? hidden : padded;
    deepest = deepest > cells ? deepest : cells;
    const int64_t mixed = rows * padded > swapped * cells ? rows * padded : swapped * cells;
    const int64_t wide = 3 * m->dim > m->vocabulary ? 3 * m->dim : m->vocabulary;
    const int64_t drawn = m->dim > m->vocabulary ? m->dim : m->vocabulary;
    float **const floats[] = {&s->x, &s->y, &s->context, &s->wide, &s->mixed, &s->hidden, &s->panel,
                              &s->swapped, &s->noise, &s->queries, &s->keys, &s->values, &s->scores,
                              &s->attended};
    const int64_t sizes[] = {rows * padded, rows * padded, rows * padded, rows * up_to(wide, PANEL),
                             mixed, heights * hidden, heights * PANEL + padded, swapped * cells,
                             up_to(m->tokens * drawn, 4 * CHUNK), cells * width, cells * width,
                             cells * width, cells * cells, cells * width};
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
        *floats[i] = (float *)(memory + used);
        used += up_to(4 * sizes[i], 64);
    }
    /* 32 more: rows a multiple of 4 kB apart would compete for the same cache lines. */
    s->stride = deepest + 32;
    for (int part = 0; part < 2; part++) {
        s->parts[part] = (uint16_t *)(memory + used);
        used += up_to(2 * heights * s->stride, 64);
    }
    return used;
}

typedef struct {
    const Model *model;
    const Rows *rows;
    int64_t num_live, share;
    atomic_long *next;
    char *memory;
} Work;

static void *run(void *argument) {
    const Work *work = argument;
    Scratch scratch;
    lay_out(work->model, &scratch, work->memory);
#if HAS_MATRIX_UNIT
    if (work->model->decoder.narrow) matrix_unit_on();
#endif
    for (;;) {
        const int64_t first = atomic_fetch_add(work->next, 1) * work->share;
        if (first >= work->num_live) break;
        const int64_t left = work->num_live - first;
        const int64_t count = left < work->share ? left : work->share;
        for (int64_t t = 0; t < work->model->num_transitions; t++)
            transit(work->model, &scratch, work->rows, first, count, t);
        conclude(work->model, &scratch, work->rows, first, count);
    }
#if HAS_MATRIX_UNIT
    if (work->model->decoder.narrow) matrix_unit_off();
#endif
    return NULL;
}

/* Bytes of memory that each thread needs. */
int64_t gram_memory(const Model *model) {
    Scratch scratch;
    return lay_out(model, &scratch, NULL);
}

/* Whether the matrix unit can be used; requests it from the system. */
int gram_has_matrix_unit(void) {
#if HAS_MATRIX_UNIT && defined(__linux__)
    const long request_permission = 0x1023, tile_data = 18;
    return syscall(SYS_arch_prctl, request_permission, tile_data) == 0;
#else
    return 0;
#endif
}

/* Standard normals of one key; out has room for a multiple of 256. */
void gram_normals(float *out, int64_t count, uint64_t seed, uint32_t trajectory, uint32_t step,
                  uint32_t purpose) {
    normals(out, count, seed, trajectory, step, purpose);
}

/* Advance rows 0 .. num_live - 1; memory holds gram_memory() bytes for each thread. */
void gram_step(const Model *model, const Rows *rows, int64_t num_live, int64_t num_threads,
               char *memory) {
    atomic_long next = 0;
    pthread_t threads[MAX_THREADS];
    Work work[MAX_THREADS];
    int64_t started = 0;
    num_threads = num_threads < MAX_THREADS ? num_threads : MAX_THREADS;
    num_threads = num_threads < num_live ? num_threads : num_live;
    int64_t share = (num_live + num_threads - 1) / num_threads;
    share = share < model->max_rows ? share : model->max_rows;
    const int64_t bytes = gram_memory(model);
    for (int64_t i = 0; i < num_threads; i++)
        work[i] = (Work){model, rows, num_live, share, &next, memory + i * bytes};
    for (int64_t i = 1; i < num_threads; i++, started++)
        if (pthread_create(&threads[i], NULL, run, &work[i])) break;
    run(&work[0]);
    for (int64_t i = 1; i <= started; i++) pthread_join(threads[i], NULL);
}
