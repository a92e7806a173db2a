#!/bin/bash
# One process for each GPU of every node, under Slurm: sbatch tools/launch/slurm.sh RECIPE.py [--FIELD VALUE ...]
# The processes find one another by what Slurm tells them. Name a folder that all nodes see.
#SBATCH --job-name=mmjax
#SBATCH --nodes=2
#SBATCH --ntasks-per-node=8
#SBATCH --gpus-per-node=8
#SBATCH --cpus-per-task=8
#SBATCH --signal=TERM@120
#SBATCH --requeue
# A run that is stopped saves what it has two minutes before its time is over; put back into the queue, it goes on.
set -euo pipefail

exec srun --kill-on-bad-exit=1 mmjax train "$@" --workdir "${WORKDIR:-runs/slurm-$SLURM_JOB_ID}"
