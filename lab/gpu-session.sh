#!/bin/sh
# Everything that needs a GPU, in under eight minutes: correctness, then speed.
#
#     lab/gpu-session.sh FOLDER
#
# Writes the output of each stage, kernels.json and engine.json into the folder; the exit status is
# the number of stages that failed. Without a GPU it does the same on the CPU at small sizes, which
# is how it is tried.
cd "$(dirname "$0")/.." || exit 1
output=${1:-${OUT:-gpu-session}}
python=${PYTHON:-python3}
mkdir -p "$output"
output=$(cd "$output" && pwd)
export PYTHONPATH=".:kernels:server:clients/python:lab:${PYTHONPATH:-}"
end=$(($(date +%s) + 470))
failed=0

stage() {
    name=$1
    shift
    left=$((end - $(date +%s)))
    timeout $((left > 1 ? left : 1)) "$python" "$@" >"$output/$name.txt" 2>&1
    status=$?
    [ $status -eq 0 ] || failed=$((failed + 1))
    echo "$name: status $status"
}

if "$python" -c 'import sys, torch; sys.exit(not torch.cuda.is_available())'; then
    stage tests -m pytest -q -p no:cacheprovider tests/kernels \
        tests/server/engine/test_model_runner.py \
        tests/server/engine/test_engine_matches_solve.py \
        tests/server/worker/test_paper_preset.py \
        --deselect tests/kernels/test_compilation.py
    stage kernels kernels/bench/run.py --output "$output/kernels.json"
    stage engine -m gram_lab bench engine --batches 1 8 64 512 4096 --output "$output"
else
    stage tests -m pytest -q -p no:cacheprovider tests/kernels/test_slots.py
    stage kernels kernels/bench/run.py --op verify --rows 1 --budget-s 0.01 \
        --output "$output/kernels.json"
    stage engine -m gram_lab bench engine --batches 1 --num-steps 2 --output "$output"
fi
exit $failed
