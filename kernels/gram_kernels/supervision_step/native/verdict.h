/* Verification of an answer against givens, units and graph; exact integers. */
#ifndef GRAM_VERDICT_H
#define GRAM_VERDICT_H

#include "model.h"

#define MAX_VALUES 256

/* Whether a unit's constraint is broken: every value once, one queen, at most one, all different. */
static int is_broken(const Model *m, const int32_t *answer, int64_t unit) {
    int32_t counts[MAX_VALUES] = {0};
    for (int64_t place = 0; place < m->unit_size; place++) {
        int64_t cell = m->unit_cells[unit * m->unit_size + place];
        if (cell == num_cells(m)) continue;
        int64_t value = answer[cell] - FIRST_VALUE;
        if (value >= 0 && value < m->num_values) counts[value]++;
    }
    int has_each = 1, has_repeat = 0;
    for (int64_t value = 0; value < m->num_values; value++) {
        has_each &= counts[value] == 1;
        has_repeat |= counts[value] > 1;
    }
    switch (m->unit_constraints[unit]) {
    case PERMUTATION: return !has_each;
    case EXACTLY_ONE: return counts[0] != 1;
    case AT_MOST_ONE: return counts[0] > 1;
    default: return has_repeat;
    }
}

/* Illegal tokens, changed givens, broken units and edges with equal ends. */
static int32_t num_violations(const Model *m, const int32_t *answer, const int32_t *givens,
                              const uint8_t *adjacency) {
    const int64_t cells = num_cells(m);
    int32_t violations = 0;
    for (int64_t cell = 0; cell < cells; cell++) {
        violations += answer[cell] < m->lowest_token || answer[cell] >= FIRST_VALUE + m->num_values;
        violations += givens[cell] > BLANK && givens[cell] != answer[cell];
    }
    for (int64_t unit = 0; unit < m->num_units; unit++) violations += is_broken(m, answer, unit);
    if (adjacency)
        for (int64_t i = 0; i < cells; i++)
            for (int64_t j = i + 1; j < cells; j++)
                violations += adjacency[i * cells + j] && answer[i] == answer[j];
    return violations;
}

#endif
