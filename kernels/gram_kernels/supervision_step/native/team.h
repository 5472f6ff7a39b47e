/* How threads share trajectories: teams, the cells of each of their threads, and where they wait.
 *
 * The threads of a team compute the same trajectories, each its own cells in every stage. What one
 * writes for others to read needs a ``meet`` in between, and so does what is overwritten after. */
#ifndef GRAM_TEAM_H
#define GRAM_TEAM_H

#include <sched.h>
#include <time.h>

#include "model.h"

#define MIN_CELLS 8     /* for fewer, another thread does not pay */
#define MAX_SPINS 2000  /* before a waiting thread offers its processor to others */

/* ``num_teams`` teams of ``size`` threads take ``share`` trajectories at a time. */
typedef struct {
    int64_t num_teams, size, share;
} Plan;

static inline int64_t least(int64_t a, int64_t b) { return a < b ? a : b; }
static inline int64_t within(int64_t x, int64_t limit) { return x < 0 ? 0 : least(x, limit); }
static inline int64_t quotient_up(int64_t a, int64_t b) { return (a + b - 1) / b; }

/* The part of a member of a team in rows, which are divided every ``step`` rows. */
static inline Slice slice(int64_t rows, int64_t step, int64_t member, int64_t size) {
    const int64_t steps = quotient_up(rows, step);
    const int64_t first = least(steps * member / size * step, rows);
    return (Slice){first, least(steps * (member + 1) / size * step, rows) - first};
}

/* Rows between which a product can be divided: the matrix unit writes whole tiles. */
static inline int64_t cell_step(const Model *m) { return m->decoder.narrow ? TILE : 1; }

/* The plan whose busiest thread has the fewest cells; where teams would save less than a tenth, or
 * may not be, threads work alone. */
static Plan make_plan(const Model *m, int64_t num_live, int64_t num_threads, int may_share) {
    const int64_t step = cell_step(m), grain = step > MIN_CELLS ? step : MIN_CELLS;
    int64_t best = INT64_MAX;
    Plan plan = {0};
    for (int64_t teams = least(num_threads, num_live); teams; teams--) {
        const int64_t share = least(quotient_up(num_live, teams), m->max_rows);
        const int64_t cells = share * m->tokens;
        const int64_t size = may_share ? least(num_threads / teams, quotient_up(cells, grain)) : 1;
        const int64_t rounds = quotient_up(quotient_up(num_live, share), teams);
        const int64_t most = quotient_up(quotient_up(cells, step), size) * step;
        const int64_t cost = rounds * most * (size > 1 ? 11 : 10);
        if (cost >= best) continue;
        best = cost;
        plan = (Plan){teams, size, share};
    }
    return plan;
}

/* Wait a moment: at first at once, then behind whatever else wants the processor. Returns whether
 * it is ``then``. */
static inline int wait_briefly(int *spins) {
    if (*spins == MAX_SPINS) return sched_yield(), 1;
    ++*spins;
#if defined(__x86_64__)
    __builtin_ia32_pause();
#elif defined(__aarch64__)
    __asm__ volatile("yield");
#endif
    return 0;
}

static inline int64_t now_ns(void) {
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return now.tv_sec * 1000000000ll + now.tv_nsec;
}

/* Wait until the whole team is here: each then sees what the others have written. */
static void meet(const Scratch *s) {
    Team *team = s->team;
    if (team->size == 1) return;
    const int round = atomic_load_explicit(&team->round, memory_order_relaxed);
    if (atomic_fetch_add(&team->num_arrived, 1) + 1 == team->size) {
        atomic_store_explicit(&team->num_arrived, 0, memory_order_relaxed);
        atomic_store_explicit(&team->round, round + 1, memory_order_release);
        return;
    }
    int64_t late_ns = 0;
    for (int spins = 0; atomic_load_explicit(&team->round, memory_order_acquire) == round;)
        if (wait_briefly(&spins) && !late_ns) late_ns = now_ns();
    if (late_ns && !s->member) team->lost_ns += now_ns() - late_ns;
}

/* This thread's rows of a buffer with a row for each cell. */
static inline float *own(const Scratch *s, float *rows, int64_t ld) {
    return rows + s->cells.first * ld;
}

/* This thread's cells within trajectory ``r`` of the group. */
static inline Slice cells_of(const Model *m, const Scratch *s, int64_t r) {
    const int64_t first = within(s->cells.first - r * m->tokens, m->tokens);
    const int64_t end = within(s->cells.first + s->cells.count - r * m->tokens, m->tokens);
    return (Slice){first, end - first};
}

#endif
