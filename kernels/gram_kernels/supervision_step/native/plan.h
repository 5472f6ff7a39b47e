/* How a step is divided: trajectories by threads, or the cells of the same ones. */
#ifndef GRAM_PLAN_H
#define GRAM_PLAN_H

#include "model.h"
#include "team.h"

#define MIN_CELLS 8 /* for fewer, another thread does not pay */

/* Threads that take ``share`` trajectories at a time, each on its own or all the same. */
typedef struct {
    int64_t num_threads, share, is_shared;
} Plan;

static inline int64_t within(int64_t x, int64_t limit) { return x < 0 ? 0 : least(x, limit); }
static inline int64_t quotient_up(int64_t a, int64_t b) { return (a + b - 1) / b; }

/* One of ``num_pieces`` pieces of rows, which are divided every ``step`` rows. */
static inline Slice slice(int64_t rows, int64_t step, int64_t piece, int64_t num_pieces) {
    const int64_t steps = quotient_up(rows, step);
    const int64_t first = least(steps * piece / num_pieces * step, rows);
    return (Slice){first, least(steps * (piece + 1) / num_pieces * step, rows) - first};
}

/* Rows between which a product can be divided: the matrix unit writes whole tiles. */
static inline int64_t cell_step(const Model *m) { return m->decoder.narrow ? TILE : 1; }

/* The plan whose busiest thread has the fewest cells; where sharing would save less than a tenth,
 * or is not allowed, threads work alone. */
static Plan make_plan(const Model *m, int64_t num_live, int64_t num_threads, int may_share) {
    const int64_t step = cell_step(m), grain = step > MIN_CELLS ? step : MIN_CELLS;
    int64_t best = INT64_MAX;
    Plan plan = {0};
    for (int64_t threads = least(num_threads, num_live); threads; threads--) {
        const int64_t share = least(quotient_up(num_live, threads), m->max_rows);
        const int64_t cost = quotient_up(quotient_up(num_live, share), threads) * share * m->tokens;
        if (cost < best) best = cost, plan = (Plan){threads, share, 0};
    }
    const int64_t share = least(num_live, m->max_rows), cells = share * m->tokens;
    const int64_t threads = least(num_threads, quotient_up(cells, grain));
    const int64_t most = quotient_up(quotient_up(cells, step), threads) * step;
    if (may_share && threads > 1 && 11 * quotient_up(num_live, share) * most < 10 * best)
        plan = (Plan){threads, share, 1};
    return plan;
}

/* This piece's rows of a buffer with a row for each cell. */
static inline float *own(const Scratch *s, float *rows, int64_t ld) {
    return rows + s->cells.first * ld;
}

/* A piece's cells within trajectory ``r`` of the group. */
static inline Slice cells_of(const Model *m, Slice piece, int64_t r) {
    const int64_t first = within(piece.first - r * m->tokens, m->tokens);
    const int64_t end = within(piece.first + piece.count - r * m->tokens, m->tokens);
    return (Slice){first, end - first};
}

#endif
