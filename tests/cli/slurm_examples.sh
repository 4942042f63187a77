#!/usr/bin/env bash
# share/slurm holds what protlm slurm makes; each is bash, clean to shellcheck (where it is installed), and starts what it says on a Slurm
# that is played. usage: slurm_examples.sh SOURCE_DIR PROTLM
set -u
source=$(realpath "$1") protlm=$(realpath "$2")
here=$(mktemp -d) && trap 'rm -rf "$here"' EXIT
failed=0
problem() { echo "$1"; failed=1; }

"$source/tools/generate_slurm.sh" --check "$protlm" "$source" || failed=1

# ---- a Slurm that only writes down what it is asked, and leaves final/ as a run that is done does ----
mkdir "$here/bin" && cd "$here" || exit 1
for name in srun mpirun apptainer ch-run scontrol; do
  cat >"bin/$name" <<T
#!/bin/sh
echo "$name \$*" >>calls
output=\$(echo "\$*" | sed -n 's/.*--output-dir \([^ ]*\).*/\1/p')
[ -z "\$output" ] || mkdir -p "\$output/final"
T
done
printf '#!/bin/sh\necho 30:00\n' >bin/squeue
mkdir -p spool/n1 && printf '#!/bin/sh\necho "SlurmdSpoolDir          = spool/%%%%n"\n' | sed "s,spool/,$here/spool/," >bin/scontrol
chmod +x bin/*
module() { echo "module $*" >>calls; }
export -f module
export PATH="$here/bin:$PATH"
for name in $(compgen -e); do
  case $name in SLURM_* | NCCL_* | FI_*) unset "$name" ;; esac
done

run_example() { # name, nodes
  : >calls
  env SLURM_JOB_ID=7 SLURM_ARRAY_JOB_ID= SLURM_ARRAY_TASK_ID=3 SLURM_JOB_NUM_NODES="$2" SLURM_JOB_NODELIST=n SLURM_CPUS_ON_NODE=128 \
    HF_HOME="$here/hub" bash "$source/share/slurm/$1.sh" >out 2>&1 || problem "$1.sh: exit code $?: $(cat out)"
}
calls() { # words of one call
  grep -qF -- "$1" calls || problem "$example: not called: $1
$(cat calls)"
}

count=0
for path in "$source"/share/slurm/*.sh; do
  bash -n "$path" || failed=1
  count=$((count + 1))
done
[ $count -ge 4 ] || problem "only $count examples"
if command -v shellcheck >/dev/null; then
  shellcheck "$source"/share/slurm/*.sh || failed=1
else
  echo "shellcheck is not installed: not run"
fi

data='protlm train --model facebook/esm2_t33_650M_UR50D --train proteins.fasta --eval-fraction 0.01'
mask=ff000000000000,ff00000000000000,ff0000,ff000000,ff,ff00,ff00000000,ff0000000000
example=cpu && run_example cpu 2
calls "srun --kill-on-bad-exit=1 -N 2 -n 4 --ntasks-per-node=2 -c 64 --mpi=pmix $data --output-dir runs/cpu --time-limit 1800s"
example=mpirun && run_example mpirun 2
calls "module load openmpi"
calls "mpirun --bind-to none -np 4 $data --output-dir runs/mpirun --time-limit 1800s"
example=nvidia && run_example nvidia 2
calls "srun --kill-on-bad-exit=1 -N 2 -n 8 --ntasks-per-node=4 -c 16 --gpus-per-node=4 --mpi=pmix $data"
example=setonix && run_example setonix 4
calls "module load rocm"
calls "srun --kill-on-bad-exit=1 -N 4 -n 32 --ntasks-per-node=8 -c 8 --gres=gpu:8 --cpu-bind=mask_cpu:$mask $data"
example=lumi && run_example lumi 4
calls "srun --kill-on-bad-exit=1 -N 4 -n 32 --ntasks-per-node=8 -c 7 --gpus-per-node=8 --cpu-bind=mask_cpu:${mask//ff/fe} $data"
example=array && run_example array 1
calls "-n 2 --ntasks-per-node=2 -c 64 --mpi=pmix $data --seed 3 --output-dir runs/seed-3"
example=apptainer && run_example apptainer 2
calls "--mpi=pmix $here/bin/apptainer exec --nv --bind $here --bind $here/spool --bind /data/models protlm.sif $data"
example=charliecloud && run_example charliecloud 2
calls "--mpi=pmix ch-run --join --join-ct=2 --join-tag=7.0 --bind /dev/shm:/dev/shm --bind /tmp:/tmp --bind $here/spool:$here/spool --bind $here:$here --bind $here/hub:$here/hub --cd $here images/protlm -- $data"
example=eval && run_example eval 1
calls "srun --kill-on-bad-exit=1 -N 1 -n 2 --ntasks-per-node=2 -c 64 --mpi=pmix protlm eval --model runs/cpu/final --data proteins.fasta"

# What a site forbids beside its packs of cores and GPUs.
if grep -E '^#SBATCH --(mem|cpus-per-task|ntasks)' "$source/share/slurm/setonix.sh"; then problem "setonix.sh asks for what Setonix refuses"; fi
grep -qx '#SBATCH --account=project-gpu' "$source/share/slurm/setonix.sh" || problem "setonix.sh: no account of GPUs"

# A network variable of the user's own stays.
sed '/^# ---- nothing below/,$d' "$source/share/slurm/setonix.sh" >top
echo 'echo "$NCCL_NET, $NCCL_SOCKET_IFNAME"' >>top
[ "$(SLURM_JOB_ID=7 NCCL_SOCKET_IFNAME=ib0 bash top | tail -n 1)" = 'AWS Libfabric, ib0' ] || problem "setonix.sh: a variable is lost"
exit $failed
