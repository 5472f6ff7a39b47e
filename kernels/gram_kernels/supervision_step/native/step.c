/* A supervision step of rows, in place: transitions, decode, heads, verification.
 *
 * Threads take a few trajectories at a time through the whole step, each on its own or together. */
#define _GNU_SOURCE
#ifdef __linux__
#include <sys/syscall.h>
#endif

#include "model.h"
#include "plan.h"
#include "products.h"
#include "team.h"
#include "verdict.h"
#include "visits.h"

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

/* What cells tell of their trajectory. */
enum { IS_INFINITE = 1, IS_CHANGED = 2 };

/* Where a piece leaves the signs of its cells of trajectory ``r``: its first logit there. */
static float *signs_of(const Model *m, const Scratch *s, int64_t r, Slice cells) {
    return s->wide + (r * m->tokens + cells.first) * up_to(m->vocabulary, PANEL);
}

static int32_t *facts_of(const Model *m, const Rows *rows, int64_t row) {
    return rows->facts + row * (NUM_FACTS + num_cells(m));
}

/* The answers of this piece's cells: the likeliest token of each that is not given. */
static void decode(const Model *m, const Scratch *s, const Rows *rows, int64_t first,
                   int64_t count) {
    const int64_t padded = up_to(m->dim, PANEL), ld = up_to(m->vocabulary, PANEL);
    const float *high = rows->high + (first * m->tokens + s->cells.first) * m->dim;
    float *x = own(s, s->x, padded);
    for (int64_t i = 0; i < s->cells.count; i++)
        memcpy(x + i * padded, high + i * m->dim, 4 * m->dim);
    product(m, s, &m->decoder, x, padded, s->cells.count, own(s, s->wide, ld), ld);
    for (int64_t r = 0; r < count; r++) {
        const Slice cells = cells_of(m, s->cells, r);
        const int32_t *givens = rows->givens + (first + r) * num_cells(m);
        int32_t *answer = facts_of(m, rows, first + r) + NUM_FACTS, signs = 0;
        for (int64_t t = cells.first; t < cells.first + cells.count; t++) {
            const float *logits = s->wide + (r * m->tokens + t) * ld;
            const int64_t cell = t - m->num_prefix;
            if (cell < 0) continue;
            int32_t likely = (int32_t)m->lowest_token;
            float highest = logits[likely];
            for (int32_t token = 0; token < m->vocabulary; token++)
                signs |= isfinite(logits[token]) ? 0 : IS_INFINITE;
            for (int32_t token = likely + 1; token < m->vocabulary; token++) {
                const int is_higher = logits[token] > highest;
                likely = is_higher ? token : likely;
                highest = is_higher ? logits[token] : highest;
            }
            if (givens[cell] != BLANK) likely = givens[cell];
            signs |= answer[cell] == likely ? 0 : IS_CHANGED;
            answer[cell] = likely;
        }
        if (cells.count) *signs_of(m, s, r, cells) = (float)signs;
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
                             up_to(m->tokens * drawn, 4 * CHUNK), WIDTH * width, cells * width,
                             cells * width, cells * WIDTH, WIDTH * width};
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

/* A step and what its threads work with. */
typedef struct {
    const Model *model;
    const Rows *rows;
    int64_t num_live;
    Plan plan;
    int64_t is_first;     /* the first of its call */
    atomic_int *has_news; /* whether the host must look at the results */
    Scratch scratches[MAX_THREADS];
} Step;

/* Verify the answer of trajectory ``r`` of the ``count`` from ``first`` on, and write its facts.
 * They are news where they may end it, unless the step before had the same of it. */
static void conclude(const Step *step, const Scratch *s, int64_t first, int64_t count, int64_t r) {
    const Model *m = step->model;
    const Rows *rows = step->rows;
    const int64_t row = first + r, cells = num_cells(m);
    const uint8_t *adjacency = rows->adjacency ? rows->adjacency + row * cells * cells : NULL;
    int32_t *facts = facts_of(m, rows, row), signs = step->is_first ? IS_CHANGED : 0;
    float halt, value;
    for (int64_t piece = 0; piece < s->num_pieces; piece++) {
        const Slice part = slice(count * m->tokens, cell_step(m), piece, s->num_pieces);
        const Slice of_row = cells_of(m, part, r);
        if (of_row.count) signs |= (int32_t)*signs_of(m, s, r, of_row);
    }
    read_heads(m, s, rows->high + row * m->tokens * m->dim, &halt, &value);
    const int32_t *givens = rows->givens + row * cells;
    const int32_t violations = num_violations(m, facts + NUM_FACTS, givens, adjacency);
    const int is_finite = !(signs & IS_INFINITE) && isfinite(halt) && isfinite(value);
    const int32_t flags[] = {violations == 0, halt > 0.0f, is_finite};
    if ((flags[0] || flags[1] || !flags[2]) &&
        (signs & IS_CHANGED || memcmp(facts, flags, sizeof flags)))
        atomic_store(step->has_news, 1);
    memcpy(facts, flags, sizeof flags);
    facts[3] = violations;
    memcpy(facts + 4, &value, 4);
    rows->keys[2 * rows->num_rows + row]++;
}

/* Phases of a group of trajectories: what is computed cell by cell and the mixers in turns, at the
 * end the logits and the verdict. */
static int64_t num_phases(const Model *m) { return 2 * num_visits(m) + 2; }

/* Compute one piece of a phase of a group. */
static void compute_phase(const Step *step, Scratch *s, int64_t group, int64_t phase) {
    const Model *m = step->model;
    const Rows *rows = step->rows;
    const int64_t first = group * step->plan.share, visit = phase / 2;
    const int64_t count = least(step->num_live - first, step->plan.share);
    s->cells = slice(count * m->tokens, cell_step(m), s->piece, s->num_pieces);
    if (phase == num_phases(m) - 1) {
        for (int64_t r = s->piece; r < count; r += s->num_pieces)
            conclude(step, s, first, count, r);
    } else if (phase % 2) {
        const int64_t start = first * m->tokens * m->tokens;
        mix(m, s, visit_of(m, visit).block, rows->adjacency ? rows->adjacency + start : NULL,
            count);
    } else {
        if (visit) end_visit(m, s, visit_of(m, visit - 1), rows, first, count);
        if (visit < num_visits(m)) begin_visit(m, s, visit_of(m, visit), rows, first, count);
        else decode(m, s, rows, first, count);
    }
}

static int64_t num_groups(const Step *step) {
    return quotient_up(step->num_live, step->plan.share);
}

/* Compute a piece of what the team has to do: of a phase that it shares, or all of some groups. */
static void compute(const void *argument, int64_t phase, int64_t piece, int64_t thread) {
    const Step *step = argument;
    const int64_t phases = num_phases(step->model);
    Scratch s = step->scratches[thread];
    if (step->model->decoder.narrow) matrix_unit_on();
    if (step->plan.is_shared) {
        s.piece = piece, s.num_pieces = step->plan.num_threads;
        compute_phase(step, &s, phase / phases, phase % phases);
    } else {
        const Slice groups = slice(num_groups(step), 1, piece, least(num_groups(step), MAX_PIECES));
        s.piece = 0, s.num_pieces = 1;
        for (int64_t i = 0; i < groups.count * phases; i++)
            compute_phase(step, &s, groups.first + i / phases, i % phases);
    }
    if (step->model->decoder.narrow) matrix_unit_off();
}

/* Give each thread its buffers; a group's are those of the first thread where all share it. */
static void assign(Step *step, char *memory) {
    for (int64_t i = 0; i < step->plan.num_threads; i++) {
        Scratch *s = &step->scratches[i];
        memory += lay_out(step->model, s, memory);
        if (step->plan.is_shared) {
            const Scratch *of_all = step->scratches;
            s->x = of_all->x, s->y = of_all->y, s->context = of_all->context;
            s->wide = of_all->wide, s->mixed = of_all->mixed;
        }
    }
}

/* Bytes of memory that a step of ``num_live`` rows needs. */
int64_t gram_memory(const Model *model, int64_t num_live, int64_t num_threads, int may_share) {
    Scratch scratch;
    const Plan plan = make_plan(model, num_live, least(num_threads, MAX_THREADS), may_share);
    return plan.num_threads * lay_out(model, &scratch, NULL);
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

/* What a processor needs for products of integers, by its name in ``torch.cpu``, or "". */
const char *gram_integer_capability(void) { return INTEGER_CAPABILITY; }

/* Standard normals of one key; out has room for a multiple of 256. */
void gram_normals(float *out, int64_t count, uint64_t seed, uint32_t trajectory, uint32_t step,
                  uint32_t purpose) {
    normals(out, 0, count, seed, trajectory, step, purpose);
}

/* Advance rows 0 .. num_live - 1, at least one, by the steps of a burst; memory holds
 * ``gram_memory`` bytes. */
void gram_steps(const Model *model, const Rows *rows, Burst *burst, int64_t num_live,
                int64_t num_threads, int may_share, char *memory) {
    Plan plan = make_plan(model, num_live, least(num_threads, MAX_THREADS), may_share);
    const int is_team = plan.num_threads > 1 && take_team();
    const int64_t threads = is_team ? gather_threads(plan.num_threads) : 1, start_ns = now_ns();
    if (threads < plan.num_threads) plan = make_plan(model, num_live, threads, may_share);
    atomic_int has_news = 0;
    Step step;
    step.model = model, step.rows = rows, step.num_live = num_live, step.plan = plan;
    step.is_first = burst->is_fresh, step.has_news = &has_news;
    assign(&step, memory);
    const int64_t groups = num_groups(&step);
    const int64_t pieces = plan.is_shared ? plan.num_threads : least(groups, MAX_PIECES);
    const int64_t phases = plan.is_shared ? groups * num_phases(model) : 1;
    burst->num_steps = burst->lost_ns = 0;
    do {
        if (plan.num_threads > 1)
            burst->lost_ns = call_team(compute, &step, phases, pieces, plan.num_threads);
        else
            for (int64_t piece = 0; piece < pieces; piece++) compute(&step, 0, piece, 0);
        /* A thread on its own may just have more to do than this one. */
        if (!plan.is_shared) burst->lost_ns = 0;
        burst->num_steps++, step.is_first = 0;
    } while (!has_news && !burst->lost_ns && burst->num_steps < burst->max_steps &&
             now_ns() - start_ns < burst->max_ns);
    if (is_team) leave_team();
}
