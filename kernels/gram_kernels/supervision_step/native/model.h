/* What a step reads and writes. ``structures.py`` has the same structures, field for field. */
#ifndef GRAM_MODEL_H
#define GRAM_MODEL_H

#include <stdint.h>

/* The numbers of ``tokens.py`` and of ``philox``. */
#define NUM_FACTS 5
#define BLANK 1
#define FIRST_VALUE 2
enum { PERMUTATION, EXACTLY_ONE, AT_MOST_ONE, DIFFERENT };
#define INPUT_PURPOSE 0x2000000

#define PANEL 32     /* columns per panel of a packed weight */
#define TILE 16      /* rows of a tile of the matrix unit */

static inline int64_t up_to(int64_t size, int64_t step) { return (size + step - 1) / step * step; }

/* A weight (num_out, num_in), its columns in panels; exactly one of the forms is set. */
typedef struct {
    int64_t num_out, num_in;
    const float *wide;      /* (panels, num_in, PANEL) */
    const uint16_t *narrow; /* bfloat16, (panels, num_in / 32, 2, 16, 32), num_in padded to 32 */
    const uint8_t *integers; /* the panels of integers.h */
} Weight;

typedef struct {
    Weight qkv, out;              /* attention, or else */
    Weight token_gate_up, token_down; /* a SwiGLU over the tokens */
    Weight gate_up, down;         /* gates and ups alternate, 16 columns each */
    const float *directions;      /* (2, places, near heads, head_dim): to keys, to values */
} Block;

typedef struct {
    int64_t tokens, dim, num_heads, head_dim, vocabulary;
    int64_t num_low, num_high; /* without high blocks, h alone passes through the low ones */
    int64_t num_inner_steps, num_transitions;
    int64_t reads_first, lowest_token, num_values;
    int64_t num_prefix; /* tokens before the cells */
    int64_t mixes_tokens, norms_tokens;
    int64_t is_pre_norm, norms_queries, has_input_noise;
    int64_t has_guidance, has_noise, guidance_dim;
    int64_t num_parts; /* bfloat16 numbers that an activation is split into: 1 or 2 */
    int64_t max_rows;  /* trajectories that share one pass over the weights */
    float sigma_min, sigma_span, sigma_offset, epsilon;
    const Block *blocks; /* the low ones first */
    Weight guidance_gate_up, mean_down, deviation_down, decoder;
    const float *embedding; /* (vocabulary, dim) */
    const float *positions; /* (tokens, dim) or NULL: added to the embedding of each token */
    const float *readout;   /* (2, dim): halt, value */
    const float *readout_bias;
    /* Groups of cells that attend to each other, in the order of the heads. */
    int64_t num_groups, first_rotary_head;
    const int32_t *group_heads, *group_starts, *group_is_masked, *members;
    const float *cosines, *sines; /* (tokens, head_dim) */
    /* Neighbourhood heads: each sees fixed places around a cell. */
    int64_t num_places, first_near, num_near;
    const int32_t *neighbours; /* (places, tokens), -1 where there is no cell */
    int64_t num_units, unit_size;
    const int64_t *unit_cells, *unit_constraints;
} Model;

typedef struct {
    float *high, *low;        /* (rows, tokens, dim) */
    const int32_t *givens;    /* (rows, cells) */
    int64_t *keys;            /* (3, rows): seed, trajectory, steps taken */
    const uint8_t *adjacency; /* (rows, cells, cells) or NULL */
    int32_t *facts;           /* (rows, NUM_FACTS + cells) */
    int64_t num_rows;         /* allocated rows: the stride of the keys */
} Rows;

/* The steps of one call: until one has news, ``max_steps`` are taken, ``max_ns`` have passed or this
 * thread slept because another had no processor. */
typedef struct {
    int64_t max_steps, max_ns;
    int64_t is_fresh;           /* whether rows hold others than after the last call */
    int64_t num_steps, lost_ns; /* those taken, and the time slept in the last */
} Burst;

static inline int64_t num_cells(const Model *m) { return m->tokens - m->num_prefix; }

/* Rows ``first`` .. ``first + count - 1``. */
typedef struct {
    int64_t first, count;
} Slice;

/* What a thread works with; all memory is zero before its first use. */
typedef struct {
    float *x, *y, *context, *wide, *mixed; /* a row for each cell of the group */
    float *hidden, *panel, *swapped, *noise; /* the thread's, for one piece, as all that follows */
    float *queries, *keys, *values, *scores, *attended;
    uint16_t *parts[2];
    int64_t stride; /* of a part's rows */
    int64_t piece, num_pieces; /* of the phase */
    Slice cells; /* of the group: those of the piece */
} Scratch;

#endif
