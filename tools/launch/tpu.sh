#!/bin/bash
# Every host of a Cloud TPU: tools/launch/tpu.sh NAME ZONE RECIPE.py [--FIELD VALUE ...]
# The hosts find one another by what the TPU tells them; of several slices, mesh.data goes over the wires between them.
set -euo pipefail

name=$1 zone=$2
shift 2
command="cd mmjax && mmjax train $(printf '%q ' "$@") --workdir ${WORKDIR:-/mnt/shared/run}"
exec gcloud compute tpus tpu-vm ssh "$name" --zone "$zone" --worker all --command "$command"
