/* A supervision step of rows, in place: transitions, decode, heads, verification.
 *
 * A thread takes a few trajectories through the whole step, alone or in a team. */
#define _GNU_SOURCE
#include <pthread.h>
#ifdef __linux__
#include <sys/syscall.h>
#include <unistd.h>
#endif

#include "blocks.h"
#include "model.h"
#include "noise.h"
#include "products.h"
#include "team.h"
#include "vectors.h"
#include "verdict.h"

#define MAX_THREADS 64

/* Draw the normals of this thread's cells of a row, ``size`` for each. */
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
        const Slice cells = cells_of(m, s, r);
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

/* x = a + b for this thread's cells, rows of dim into padded rows; b is the embedding of the
 * givens, if any. */
static void add_into(const Model *m, const Scratch *s, const float *a, const float *b,
                     const int32_t *givens) {
    const int64_t padded = up_to(m->dim, PANEL);
    float *x = own(s, s->x, padded);
    for (int64_t i = 0; i < s->cells.count; i++, x += padded) {
        const float *left = a + i * m->dim;
        const float *right = givens ? m->embedding + givens[i] * m->dim : b + i * m->dim;
        for (int64_t j = 0; j < m->dim; j++) x[j] = left[j] + right[j];
        if (givens && m->positions) {
            const float *position = m->positions + (s->cells.first + i) % m->tokens * m->dim;
            for (int64_t j = 0; j < m->dim; j++) x[j] += position[j];
        }
        for (int64_t j = m->dim; j < padded; j++) x[j] = 0.0f;
    }
}

/* Write this thread's rows of x to rows of dim. */
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
        const Slice cells = cells_of(m, s, r);
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

/* context = high + the embedding of the givens, for this thread's cells. */
static void add_context(const Model *m, const Scratch *s, const float *high,
                        const int32_t *givens) {
    for (int64_t i = 0; i < s->cells.count; i++) {
        const int64_t cell = (s->cells.first + i) % m->tokens;
        const float *embedding = m->embedding + givens[i] * m->dim;
        const float *position = m->positions ? m->positions + cell * m->dim : NULL;
        for (int64_t j = 0; j < m->dim; j++)
            s->context[i * m->dim + j] =
                high[i * m->dim + j] + embedding[j] + (position ? position[j] : 0.0f);
    }
}

static void transit(const Model *m, const Scratch *s, const Rows *rows, int64_t first,
                    int64_t count, int64_t transition) {
    const int64_t start = first * m->tokens + s->cells.first;
    float *high = rows->high + start * m->dim, *low = rows->low + start * m->dim;
    const int32_t *givens = rows->givens + start;
    if (m->is_pre_norm) {
        add_into(m, s, high, NULL, givens);
        if (m->has_input_noise) add_input_noise(m, s, rows, first, count, transition);
        stack_pre_norm(m, s, m->num_inner_steps + 1, rows, first, count);
    } else if (!m->num_high) {
        for (int64_t k = 0; k <= m->num_inner_steps; k++) {
            add_into(m, s, high, NULL, givens);
            stack(m, s, m->blocks, m->num_low, rows, first, count);
            keep(m, s, high);
        }
    } else {
        add_context(m, s, high, givens);
        for (int64_t k = 0; k < m->num_inner_steps; k++) {
            add_into(m, s, low, s->context, NULL);
            stack(m, s, m->blocks, m->num_low, rows, first, count);
            keep(m, s, low);
        }
        add_into(m, s, high, low, NULL);
        stack(m, s, m->blocks + m->num_low, m->num_high, rows, first, count);
    }
    if (m->has_guidance)
        guide(m, s, rows, first, count, transition);
    else
        keep(m, s, high);
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

/* Read the answer from a row's logits, verify it and write the row's facts. */
static void conclude_row(const Model *m, const Scratch *s, const Rows *rows, int64_t row,
                         const float *logits) {
    const int64_t ld = up_to(m->vocabulary, PANEL);
    const int32_t *givens = rows->givens + row * m->tokens;
    const uint8_t *adjacency =
        rows->adjacency ? rows->adjacency + row * m->tokens * m->tokens : NULL;
    int32_t *facts = rows->facts + row * (NUM_FACTS + m->tokens), *answer = facts + NUM_FACTS;
    int is_finite = 1;
    float halt, value;
    for (int64_t t = 0; t < m->tokens; t++, logits += ld) {
        int32_t likely = (int32_t)m->lowest_token;
        for (int32_t token = 0; token < m->vocabulary; token++) {
            is_finite &= isfinite(logits[token]) != 0;
            if (token > likely && logits[token] > logits[likely]) likely = token;
        }
        answer[t] = givens[t] == BLANK ? likely : givens[t];
    }
    read_heads(m, s, rows->high + row * m->tokens * m->dim, &halt, &value);
    const int32_t violations = num_violations(m, answer, givens, adjacency);
    facts[0] = violations == 0;
    facts[1] = halt > 0.0f;
    facts[2] = is_finite && isfinite(halt) && isfinite(value);
    facts[3] = violations;
    memcpy(facts + 4, &value, 4);
    rows->keys[2 * rows->num_rows + row]++;
}

/* Decode h; then each thread concludes some of the group's trajectories. */
static void conclude(const Model *m, const Scratch *s, const Rows *rows, int64_t first,
                     int64_t count) {
    const int64_t padded = up_to(m->dim, PANEL), ld = up_to(m->vocabulary, PANEL);
    const float *high = rows->high + (first * m->tokens + s->cells.first) * m->dim;
    float *x = own(s, s->x, padded);
    for (int64_t i = 0; i < s->cells.count; i++)
        memcpy(x + i * padded, high + i * m->dim, 4 * m->dim);
    product(m, s, &m->decoder, x, padded, s->cells.count, own(s, s->wide, ld), ld);
    meet(s);
    for (int64_t r = s->member; r < count; r += s->team->size)
        conclude_row(m, s, rows, first + r, s->wide + r * m->tokens * ld);
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

/* A step that threads share. */
typedef struct {
    const Model *model;
    const Rows *rows;
    int64_t num_live;
    char *memory;
    Plan plan;
    atomic_int is_planned;
    atomic_long next; /* group of trajectories that no team has taken */
    Team teams[MAX_THREADS];
} Step;

typedef struct {
    Step *step;
    int64_t thread;
} Work;

/* The buffers of a thread and of its team, which are those of the team's first thread. */
static Scratch scratch_of(Step *step, int64_t thread) {
    const int64_t size = step->plan.size, member = thread % size;
    Scratch s, first;
    const int64_t bytes = lay_out(step->model, &s, NULL);
    lay_out(step->model, &s, step->memory + thread * bytes);
    lay_out(step->model, &first, step->memory + (thread - member) * bytes);
    s.x = first.x, s.y = first.y, s.wide = first.wide, s.mixed = first.mixed;
    s.team = &step->teams[thread / size], s.member = member;
    return s;
}

/* Take groups of trajectories through the step until none is left. */
static void advance(Step *step, Scratch *s) {
    const Model *m = step->model;
    for (int64_t last = -1, group;; last = group) {
        if (!s->member) atomic_store(&s->team->group, atomic_fetch_add(&step->next, 1));
        for (int spins = 0; (group = atomic_load(&s->team->group)) == last;) wait_briefly(&spins);
        const int64_t first = group * step->plan.share;
        if (first >= step->num_live) return;
        const int64_t count = least(step->num_live - first, step->plan.share);
        s->cells = slice(count * m->tokens, cell_step(m), s->member, s->team->size);
        for (int64_t t = 0; t < m->num_transitions; t++)
            transit(m, s, step->rows, first, count, t);
        conclude(m, s, step->rows, first, count);
        meet(s);
    }
}

static void *run(void *argument) {
    const Work *work = argument;
    Step *step = work->step;
    for (int spins = 0; !atomic_load(&step->is_planned);) wait_briefly(&spins);
    if (work->thread >= step->plan.num_teams * step->plan.size) return NULL;
    Scratch scratch = scratch_of(step, work->thread);
    if (step->model->decoder.narrow) matrix_unit_on();
    advance(step, &scratch);
    if (step->model->decoder.narrow) matrix_unit_off();
    return NULL;
}

/* Bytes of memory that a step of ``num_live`` rows needs. */
int64_t gram_memory(const Model *model, int64_t num_live, int64_t num_threads, int may_share) {
    Scratch scratch;
    const Plan plan = make_plan(model, num_live, least(num_threads, MAX_THREADS), may_share);
    return plan.num_teams * plan.size * lay_out(model, &scratch, NULL);
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
    normals(out, 0, count, seed, trajectory, step, purpose);
}

/* Advance rows 0 .. num_live - 1, at least one; memory holds ``gram_memory`` bytes. Returns the
 * nanoseconds that were lost as threads of a team had no processor, if over a quarter of all. */
int64_t gram_step(const Model *model, const Rows *rows, int64_t num_live, int64_t num_threads,
                  int may_share, char *memory) {
    const int64_t start_ns = now_ns();
    Step step = {.model = model, .rows = rows, .num_live = num_live, .memory = memory};
    pthread_t threads[MAX_THREADS];
    Work work[MAX_THREADS];
    int64_t started = 1;
    step.plan = make_plan(model, num_live, least(num_threads, MAX_THREADS), may_share);
    const int64_t wanted = step.plan.num_teams * step.plan.size;
    for (int64_t i = 0; i < wanted; i++) work[i] = (Work){&step, i};
    while (started < wanted && !pthread_create(&threads[started], NULL, run, &work[started]))
        started++;
    /* Teams are of threads that there are. */
    if (started < wanted) step.plan = make_plan(model, num_live, started, may_share);
    for (int64_t i = 0; i < step.plan.num_teams; i++) {
        step.teams[i].size = step.plan.size;
        atomic_store(&step.teams[i].group, -1);
    }
    atomic_store(&step.is_planned, 1);
    run(&work[0]);
    for (int64_t i = 1; i < started; i++) pthread_join(threads[i], NULL);
    const int64_t lost_ns = step.teams[0].lost_ns;
    return 4 * lost_ns > now_ns() - start_ns ? lost_ns : 0;
}
