# bash completion for protlm
_protlm_files() {
  compopt -o filenames 2>/dev/null
  mapfile -t COMPREPLY < <(compgen -f -- "$1")
}
_protlm() {
  local cur=${COMP_WORDS[COMP_CWORD]} last=$((COMP_CWORD - 1)) command=${COMP_WORDS[1]} seconds='' options='' files=0
  COMPREPLY=()
  # --name=value comes as three words
  if [[ $cur == = ]]; then cur=''; elif [[ ${COMP_WORDS[last]} == = ]]; then last=$((last - 1)); fi
  if ((COMP_CWORD == 1)); then
    mapfile -t COMPREPLY < <(compgen -W '--help --version train eval inspect ckpt report info bench' -- "$cur")
    return
  fi
  case "$command" in
    (inspect) seconds='tokens batch forward params' ;;
    (ckpt) seconds='ls verify' ;;
    (bench) seconds='gemm step' ;;
  esac
  if [[ -n $seconds ]]; then
    if ((COMP_CWORD == 2)); then
      mapfile -t COMPREPLY < <(compgen -W "$seconds" -- "$cur")
      return
    fi
    command+=" ${COMP_WORDS[2]}"
  fi
  case "$command ${COMP_WORDS[last]}" in
    ('train --model'|'train -m'|'train --model-name'|'train --model-name-or-path') return ;;
    ('train --num-hidden-layers') return ;;
    ('train --hidden-size') return ;;
    ('train --num-attention-heads') return ;;
    ('train --intermediate-size') return ;;
    ('train --dtype'|'train --precision') mapfile -t COMPREPLY < <(compgen -W 'fp32 bf16' -- "$cur"); return ;;
    ('train --train'|'train -t'|'train --train-file'|'train --train-hdf5-file') _protlm_files "$cur"; return ;;
    ('train --eval'|'train --validation-file'|'train --eval-file'|'train --eval-hdf5-file') _protlm_files "$cur"; return ;;
    ('train --eval-fraction') return ;;
    ('train --max-length'|'train --max-seq-length') return ;;
    ('train --lowercase') mapfile -t COMPREPLY < <(compgen -W 'upper x' -- "$cur"); return ;;
    ('train --on-invalid') mapfile -t COMPREPLY < <(compgen -W 'error x skip' -- "$cur"); return ;;
    ('train --cache-dir') _protlm_files "$cur"; return ;;
    ('train --batch-tokens') return ;;
    ('train --per-device-train-batch-size'|'train -b'|'train --batch-size') return ;;
    ('train --gradient-accumulation-steps') return ;;
    ('train --micro-batch-tokens') return ;;
    ('train --num-train-epochs'|'train -e'|'train --epochs') return ;;
    ('train --max-steps'|'train -s'|'train --steps') return ;;
    ('train --seed') return ;;
    ('train --mask-probability'|'train --mlm-probability') return ;;
    ('train --random-tokens') mapfile -t COMPREPLY < <(compgen -W 'aa-other aa vocab' -- "$cur"); return ;;
    ('train --learning-rate'|'train --lr') return ;;
    ('train --weight-decay') return ;;
    ('train --adam-beta1') return ;;
    ('train --adam-beta2') return ;;
    ('train --adam-epsilon') return ;;
    ('train --max-grad-norm') return ;;
    ('train --max-nonfinite') return ;;
    ('train --lr-scheduler-type') mapfile -t COMPREPLY < <(compgen -W 'esm2 linear cosine cosine_with_min_lr cosine_max constant constant_with_warmup inverse_sqrt warmup_stable_decay' -- "$cur"); return ;;
    ('train --warmup-steps'|'train --warmup-ratio') return ;;
    ('train --min-lr-ratio') return ;;
    ('train --eval-steps') return ;;
    ('train --eval-draws') return ;;
    ('train --eval-seed') return ;;
    ('train --early-stopping-patience') return ;;
    ('train --early-stopping-threshold') return ;;
    ('train --output-dir'|'train -o'|'train --out-dir') _protlm_files "$cur"; return ;;
    ('train --resume-from-checkpoint') return ;;
    ('train --allow-change') return ;;
    ('train --save-steps') return ;;
    ('train --save-minutes') return ;;
    ('train --save-total-limit') return ;;
    ('train --save-at') return ;;
    ('train --save-dtype') mapfile -t COMPREPLY < <(compgen -W 'fp32 bf16' -- "$cur"); return ;;
    ('train --time-limit') return ;;
    ('train --logging-steps') return ;;
    ('train --threads') return ;;
    ('train --loader-workers'|'train --dataloader-num-workers') return ;;
    ('train --config') _protlm_files "$cur"; return ;;
    ('eval --model'|'eval -m'|'eval --model-name'|'eval --model-name-or-path') return ;;
    ('eval --seed') return ;;
    ('eval --data'|'eval --eval'|'eval --fasta'|'eval -f'|'eval --eval-file'|'eval --validation-file') _protlm_files "$cur"; return ;;
    ('eval --train'|'eval -t'|'eval --train-file') _protlm_files "$cur"; return ;;
    ('eval --max-length'|'eval --max-seq-length') return ;;
    ('eval --cache-dir') _protlm_files "$cur"; return ;;
    ('eval --lowercase') mapfile -t COMPREPLY < <(compgen -W 'upper x' -- "$cur"); return ;;
    ('eval --on-invalid') mapfile -t COMPREPLY < <(compgen -W 'error x skip' -- "$cur"); return ;;
    ('eval --protocol') mapfile -t COMPREPLY < <(compgen -W 'protlm hf' -- "$cur"); return ;;
    ('eval --mask-probability'|'eval --mlm-probability') return ;;
    ('eval --random-tokens') mapfile -t COMPREPLY < <(compgen -W 'aa-other aa vocab' -- "$cur"); return ;;
    ('eval --eval-draws') return ;;
    ('eval --eval-seed') return ;;
    ('eval --output'|'eval -o') _protlm_files "$cur"; return ;;
    ('eval --dtype') mapfile -t COMPREPLY < <(compgen -W 'fp32 bf16' -- "$cur"); return ;;
    ('eval --threads') return ;;
    ('inspect tokens --fasta'|'inspect tokens --data'|'inspect tokens --train'|'inspect tokens -f') _protlm_files "$cur"; return ;;
    ('inspect tokens --records'|'inspect tokens -n') return ;;
    ('inspect tokens --max-length'|'inspect tokens --max-seq-length') return ;;
    ('inspect tokens --cache-dir') _protlm_files "$cur"; return ;;
    ('inspect tokens --lowercase') mapfile -t COMPREPLY < <(compgen -W 'upper x' -- "$cur"); return ;;
    ('inspect tokens --on-invalid') mapfile -t COMPREPLY < <(compgen -W 'error x skip' -- "$cur"); return ;;
    ('inspect batch --step'|'inspect batch -k') return ;;
    ('inspect batch --records'|'inspect batch -n') return ;;
    ('inspect batch --output'|'inspect batch -o') _protlm_files "$cur"; return ;;
    ('inspect batch --model'|'inspect batch -m'|'inspect batch --model-name'|'inspect batch --model-name-or-path') return ;;
    ('inspect batch --num-hidden-layers') return ;;
    ('inspect batch --hidden-size') return ;;
    ('inspect batch --num-attention-heads') return ;;
    ('inspect batch --intermediate-size') return ;;
    ('inspect batch --dtype'|'inspect batch --precision') mapfile -t COMPREPLY < <(compgen -W 'fp32 bf16' -- "$cur"); return ;;
    ('inspect batch --train'|'inspect batch -t'|'inspect batch --train-file'|'inspect batch --train-hdf5-file') _protlm_files "$cur"; return ;;
    ('inspect batch --eval'|'inspect batch --validation-file'|'inspect batch --eval-file'|'inspect batch --eval-hdf5-file') _protlm_files "$cur"; return ;;
    ('inspect batch --eval-fraction') return ;;
    ('inspect batch --max-length'|'inspect batch --max-seq-length') return ;;
    ('inspect batch --lowercase') mapfile -t COMPREPLY < <(compgen -W 'upper x' -- "$cur"); return ;;
    ('inspect batch --on-invalid') mapfile -t COMPREPLY < <(compgen -W 'error x skip' -- "$cur"); return ;;
    ('inspect batch --cache-dir') _protlm_files "$cur"; return ;;
    ('inspect batch --batch-tokens') return ;;
    ('inspect batch --per-device-train-batch-size'|'inspect batch -b'|'inspect batch --batch-size') return ;;
    ('inspect batch --gradient-accumulation-steps') return ;;
    ('inspect batch --micro-batch-tokens') return ;;
    ('inspect batch --num-train-epochs'|'inspect batch -e'|'inspect batch --epochs') return ;;
    ('inspect batch --max-steps'|'inspect batch -s'|'inspect batch --steps') return ;;
    ('inspect batch --seed') return ;;
    ('inspect batch --mask-probability'|'inspect batch --mlm-probability') return ;;
    ('inspect batch --random-tokens') mapfile -t COMPREPLY < <(compgen -W 'aa-other aa vocab' -- "$cur"); return ;;
    ('inspect batch --learning-rate'|'inspect batch --lr') return ;;
    ('inspect batch --weight-decay') return ;;
    ('inspect batch --adam-beta1') return ;;
    ('inspect batch --adam-beta2') return ;;
    ('inspect batch --adam-epsilon') return ;;
    ('inspect batch --max-grad-norm') return ;;
    ('inspect batch --max-nonfinite') return ;;
    ('inspect batch --lr-scheduler-type') mapfile -t COMPREPLY < <(compgen -W 'esm2 linear cosine cosine_with_min_lr cosine_max constant constant_with_warmup inverse_sqrt warmup_stable_decay' -- "$cur"); return ;;
    ('inspect batch --warmup-steps'|'inspect batch --warmup-ratio') return ;;
    ('inspect batch --min-lr-ratio') return ;;
    ('inspect batch --eval-steps') return ;;
    ('inspect batch --eval-draws') return ;;
    ('inspect batch --eval-seed') return ;;
    ('inspect batch --early-stopping-patience') return ;;
    ('inspect batch --early-stopping-threshold') return ;;
    ('inspect batch --output-dir'|'inspect batch -o'|'inspect batch --out-dir') _protlm_files "$cur"; return ;;
    ('inspect batch --resume-from-checkpoint') return ;;
    ('inspect batch --allow-change') return ;;
    ('inspect batch --save-steps') return ;;
    ('inspect batch --save-minutes') return ;;
    ('inspect batch --save-total-limit') return ;;
    ('inspect batch --save-at') return ;;
    ('inspect batch --save-dtype') mapfile -t COMPREPLY < <(compgen -W 'fp32 bf16' -- "$cur"); return ;;
    ('inspect batch --time-limit') return ;;
    ('inspect batch --logging-steps') return ;;
    ('inspect batch --threads') return ;;
    ('inspect batch --loader-workers'|'inspect batch --dataloader-num-workers') return ;;
    ('inspect batch --config') _protlm_files "$cur"; return ;;
    ('inspect forward --model'|'inspect forward -m'|'inspect forward --model-name'|'inspect forward --model-name-or-path') return ;;
    ('inspect forward --seed') return ;;
    ('inspect forward --fasta'|'inspect forward --data'|'inspect forward --train'|'inspect forward -f') _protlm_files "$cur"; return ;;
    ('inspect forward --cache-dir') _protlm_files "$cur"; return ;;
    ('inspect forward --lowercase') mapfile -t COMPREPLY < <(compgen -W 'upper x' -- "$cur"); return ;;
    ('inspect forward --on-invalid') mapfile -t COMPREPLY < <(compgen -W 'error x skip' -- "$cur"); return ;;
    ('inspect forward --max-length'|'inspect forward --max-seq-length') return ;;
    ('inspect forward --layers') return ;;
    ('inspect forward --output'|'inspect forward -o') _protlm_files "$cur"; return ;;
    ('inspect forward --slice') _protlm_files "$cur"; return ;;
    ('inspect forward --dtype') mapfile -t COMPREPLY < <(compgen -W 'fp32 bf16' -- "$cur"); return ;;
    ('inspect forward --threads') return ;;
    ('inspect params --model'|'inspect params -m'|'inspect params --model-name'|'inspect params --model-name-or-path') return ;;
    ('inspect params --seed') return ;;
    ('inspect params --slice') _protlm_files "$cur"; return ;;
    ('report --output'|'report -o') _protlm_files "$cur"; return ;;
    ('info --threads') return ;;
    ('bench gemm --rows') return ;;
    ('bench gemm --seconds') return ;;
    ('bench gemm --threads') return ;;
    ('bench step --model'|'bench step -m') return ;;
    ('bench step --micro-batch-tokens'|'bench step --tokens') return ;;
    ('bench step --length') return ;;
    ('bench step --steps') return ;;
    ('bench step --dtype') mapfile -t COMPREPLY < <(compgen -W 'fp32 bf16' -- "$cur"); return ;;
    ('bench step --threads') return ;;
  esac
  case "$command" in
    ('train') options='--help --model --num-hidden-layers --hidden-size --num-attention-heads --intermediate-size --dtype --train --eval --eval-fraction --max-length --lowercase --on-invalid --cache-dir --batch-tokens --per-device-train-batch-size --gradient-accumulation-steps --micro-batch-tokens --num-train-epochs --max-steps --seed --mask-probability --random-tokens --mask-nonstandard --learning-rate --weight-decay --decay-all --adam-beta1 --adam-beta2 --adam-epsilon --max-grad-norm --skip-spikes --max-nonfinite --lr-scheduler-type --warmup-steps --min-lr-ratio --demo-compat --eval-steps --eval-on-start --no-eval-on-start --eval-draws --eval-seed --early-stopping-patience --early-stopping-threshold --load-best-model-at-end --output-dir --resume-from-checkpoint --allow-change --save-steps --save-minutes --save-total-limit --save-at --save-dtype --time-limit --logging-steps --threads --loader-workers --config --print-config --dry-run --quiet --verbose --no-color'; files=0 ;;
    ('eval') options='--help --model --random-weights --seed --data --train --max-length --cache-dir --lowercase --on-invalid --protocol --mask-probability --random-tokens --mask-nonstandard --eval-draws --eval-seed --per-sequence --json --output --dtype --threads --quiet --verbose --no-color'; files=0 ;;
    ('inspect tokens') options='--help --fasta --records --max-length --cache-dir --lowercase --on-invalid --ids --no-ids --quiet --verbose --no-color'; files=0 ;;
    ('inspect batch') options='--help --step --records --output --model --train --eval-fraction --max-length --lowercase --on-invalid --cache-dir --batch-tokens --per-device-train-batch-size --gradient-accumulation-steps --seed --mask-probability --random-tokens --mask-nonstandard --demo-compat --config --print-config --quiet --verbose --no-color'; files=0 ;;
    ('inspect forward') options='--help --model --random-weights --seed --fasta --cache-dir --lowercase --on-invalid --max-length --layers --output --slice --dtype --threads --quiet --verbose --no-color'; files=0 ;;
    ('inspect params') options='--help --model --random-weights --seed --slice --quiet --verbose --no-color'; files=0 ;;
    ('ckpt ls') options='--help --deep --quiet --verbose --no-color'; files=1 ;;
    ('ckpt verify') options='--help --quiet --verbose --no-color'; files=1 ;;
    ('report') options='--help --output --quiet --verbose --no-color'; files=1 ;;
    ('info') options='--help --json --threads --quiet --verbose --no-color'; files=0 ;;
    ('bench gemm') options='--help --rows --seconds --threads --quiet --verbose --no-color'; files=0 ;;
    ('bench step') options='--help --model --micro-batch-tokens --length --steps --dtype --threads --quiet --verbose --no-color'; files=0 ;;
  esac
  # several files may follow one option
  while ((last > 1)) && [[ ${COMP_WORDS[last]} != -* ]]; do last=$((last - 1)); done
  case "$command ${COMP_WORDS[last]}" in
    ('train --train'|'train -t'|'train --train-file'|'train --train-hdf5-file') files=1 ;;
    ('train --eval'|'train --validation-file'|'train --eval-file'|'train --eval-hdf5-file') files=1 ;;
    ('eval --data'|'eval --eval'|'eval --fasta'|'eval -f'|'eval --eval-file'|'eval --validation-file') files=1 ;;
    ('eval --train'|'eval -t'|'eval --train-file') files=1 ;;
    ('inspect tokens --fasta'|'inspect tokens --data'|'inspect tokens --train'|'inspect tokens -f') files=1 ;;
    ('inspect batch --train'|'inspect batch -t'|'inspect batch --train-file'|'inspect batch --train-hdf5-file') files=1 ;;
    ('inspect batch --eval'|'inspect batch --validation-file'|'inspect batch --eval-file'|'inspect batch --eval-hdf5-file') files=1 ;;
    ('inspect forward --fasta'|'inspect forward --data'|'inspect forward --train'|'inspect forward -f') files=1 ;;
    ('inspect forward --slice') files=1 ;;
    ('inspect params --slice') files=1 ;;
  esac
  if [[ $cur != -* ]] && ((files)); then
    _protlm_files "$cur"
  else
    mapfile -t COMPREPLY < <(compgen -W "$options" -- "$cur")
  fi
}
complete -F _protlm protlm
