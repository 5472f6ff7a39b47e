/* How threads share a step: in phases of pieces, which whoever comes first computes.
 *
 * No piece of a phase begins before all of the phase before it are done, so each may read what any
 * wrote. A thread computes its own piece first, then those that their threads have not begun: it
 * waits for no thread without a processor but for one that lost it within a piece. Threads are kept
 * for the next step, and touch nothing of a step but for a piece that they have claimed. */
#ifndef GRAM_TEAM_H
#define GRAM_TEAM_H

#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdint.h>
#include <time.h>
#include <unistd.h>

#define MAX_THREADS 64
#define MAX_PIECES 64
#define IDLE_NS 100000    /* that a thread keeps its processor until the next step */
#define PATIENCE_NS 30000 /* and for another's piece, beside a half of what its own took */
#define MAX_OWN_NS 1000000

/* Computes a piece of a phase on a thread. */
typedef void (*Compute)(const void *step, int64_t phase, int64_t piece, int64_t thread);

/* Where threads sleep that have waited for long. */
typedef struct {
    pthread_mutex_t mutex;
    pthread_cond_t rung;
    atomic_int num_asleep;
} Bell;

/* Twice the phase that a piece is to be computed for, counted since the start; 1 more meanwhile. */
typedef struct {
    _Alignas(64) atomic_llong state;
} Mark;

/* The threads of this process but for those that call. */
static struct {
    atomic_llong call; /* the step at hand: its last phase and 1, threads, pieces (8 bits) */
    Mark marks[MAX_PIECES];
    Bell late, idle[MAX_THREADS]; /* within a step; before the next */
    /* Only for who has claimed a piece, or the team. */
    Compute compute;
    const void *step;
    int64_t first_phase, num_phases, num_threads;
    pid_t process;
    atomic_int owner; /* process of the caller whose step it is, or 0 */
} team;

static inline int64_t least(int64_t a, int64_t b) { return a < b ? a : b; }

static inline int64_t now_ns(void) {
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return now.tv_sec * 1000000000ll + now.tv_nsec;
}

static void ring(Bell *bell) {
    if (!atomic_load(&bell->num_asleep)) return;
    /* Who has not seen the change by now is at least asleep. */
    pthread_mutex_lock(&bell->mutex);
    pthread_mutex_unlock(&bell->mutex);
    pthread_cond_broadcast(&bell->rung);
}

/* Wait until ``word`` is another, after ``patience_ns`` asleep. Returns the time asleep. */
static int64_t wait_while(atomic_llong *word, long long value, Bell *bell, int64_t patience_ns) {
    int64_t start_ns = 0;
    for (uint32_t spins = 1; atomic_load_explicit(word, memory_order_acquire) == value; spins++) {
#if defined(__x86_64__)
        __builtin_ia32_pause();
#elif defined(__aarch64__)
        __asm__ volatile("yield");
#endif
        if (spins % 64) continue;
        if (!start_ns) start_ns = now_ns();
        if (now_ns() - start_ns < patience_ns) continue;
        pthread_mutex_lock(&bell->mutex);
        atomic_fetch_add(&bell->num_asleep, 1);
        while (atomic_load(word) == value) pthread_cond_wait(&bell->rung, &bell->mutex);
        atomic_fetch_sub(&bell->num_asleep, 1);
        pthread_mutex_unlock(&bell->mutex);
        return now_ns() - start_ns - patience_ns;
    }
    return 0;
}

/* Claim a piece that may begin, at best ``own``; without one ``piece`` is one to wait for. Returns
 * its state: even if claimed, odd while others compute it, and the end if no piece is left. */
static int64_t claim(int64_t call, int64_t own, int64_t *piece) {
    const int64_t num_pieces = call & 255, end = call >> 16 << 1;
    long long states[MAX_PIECES], lowest = end;
    for (int64_t i = 0; i < num_pieces; i++) {
        states[i] = atomic_load_explicit(&team.marks[i].state, memory_order_acquire);
        if (states[i] >= lowest) continue;
        lowest = states[i];
        *piece = i;
    }
    if (lowest == end) return end;
    const long long free = lowest & ~1ll;
    for (int64_t i = 0; i < num_pieces; i++) {
        const int64_t at = (own + i) % num_pieces;
        long long state = free;
        if (states[at] == free &&
            atomic_compare_exchange_strong(&team.marks[at].state, &state, free + 1)) {
            *piece = at;
            return free;
        }
    }
    return free + 1;
}

/* Compute pieces of a step until it has ended. Returns the time asleep. */
static int64_t take_part(int64_t call, int64_t thread) {
    const int64_t num_pieces = call & 255, num_threads = call >> 8 & 255, end = call >> 16 << 1;
    int64_t asleep_ns = 0, patience_ns = PATIENCE_NS, piece = 0;
    if (thread >= num_threads) return 0;
    for (int64_t state;;) {
        state = claim(call, thread * num_pieces / num_threads, &piece);
        if (state == end) return asleep_ns;
        if (state & 1) {
            asleep_ns += wait_while(&team.marks[piece].state, state, &team.late, patience_ns);
            continue;
        }
        const int64_t start_ns = now_ns();
        team.compute(team.step, state / 2 - team.first_phase, piece, thread);
        /* Only in a phase among others are pieces of one length. */
        patience_ns = PATIENCE_NS;
        if (team.num_phases > 1) patience_ns += least(now_ns() - start_ns, MAX_OWN_NS) / 2;
        atomic_store(&team.marks[piece].state, state + 2);
        ring(&team.late);
    }
}

static void *serve(void *number) {
    for (const int64_t thread = (intptr_t)number;;) {
        const int64_t call = atomic_load(&team.call);
        take_part(call, thread);
        wait_while(&team.call, call, &team.idle[thread], IDLE_NS);
    }
    return NULL;
}

/* Whether the team is this caller's until ``leave_team``; not while it is another thread's. */
static int take_team(void) {
    const pid_t process = getpid();
    int owner = 0;
    /* A fork within a step leaves it to a process that has no such caller. */
    while (!atomic_compare_exchange_strong(&team.owner, &owner, process))
        if (owner == process) return 0;
    if (team.process == process) return 1;
    team.process = process;
    team.num_threads = 1;
    for (int64_t i = 0; i <= MAX_THREADS; i++)
        *(i < MAX_THREADS ? &team.idle[i] : &team.late) =
            (Bell){PTHREAD_MUTEX_INITIALIZER, PTHREAD_COND_INITIALIZER, 0};
    return 1;
}

static void leave_team(void) { atomic_store(&team.owner, 0); }

/* Have up to ``wanted`` threads, this one included. Returns how many there are. */
static int64_t gather_threads(int64_t wanted) {
    if (team.num_threads >= wanted) return wanted;
    sigset_t all, before;
    pthread_attr_t attributes;
    pthread_t thread;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    pthread_attr_init(&attributes);
    pthread_attr_setdetachstate(&attributes, PTHREAD_CREATE_DETACHED);
    while (team.num_threads < wanted &&
           !pthread_create(&thread, &attributes, serve, (void *)(intptr_t)team.num_threads))
        team.num_threads++;
    pthread_attr_destroy(&attributes);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    return team.num_threads;
}

/* Compute a step with the team; this thread is its first. Returns the time asleep. */
static int64_t call_team(Compute compute, const void *step, int64_t num_phases, int64_t num_pieces,
                         int64_t num_threads) {
    team.first_phase = team.first_phase + team.num_phases;
    team.num_phases = num_phases;
    team.compute = compute;
    team.step = step;
    for (int64_t i = 0; i < num_pieces; i++)
        atomic_store_explicit(&team.marks[i].state, 2 * team.first_phase, memory_order_relaxed);
    const int64_t end = team.first_phase + num_phases;
    const int64_t call = end << 16 | num_threads << 8 | num_pieces;
    atomic_store(&team.call, call);
    for (int64_t i = 1; i < num_threads; i++) ring(&team.idle[i]);
    return take_part(call, 0);
}

#endif
