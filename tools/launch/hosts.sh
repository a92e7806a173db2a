#!/bin/bash
# Hosts that ssh reaches, without a scheduler: tools/launch/hosts.sh "host-a host-b" RECIPE.py [--FIELD VALUE ...]
# The first host listens for the others. SHELL_TO (ssh) starts a command on a host. Ctrl-C leaves them;
# end one of them, and the others end too.
set -euo pipefail

read -ra hosts <<< "$1"
shift
trap 'kill $(jobs -p) 2> /dev/null || true' INT TERM
for i in "${!hosts[@]}"; do
  ${SHELL_TO:-ssh} "${hosts[$i]}" "cd $(printf '%q' "$PWD") && exec mmjax train $(printf '%q ' "$@")" \
    "--coordinator ${hosts[0]}:${PORT:-1234} --processes ${#hosts[@]} --process $i" &
done
status=0
for job in $(jobs -p); do wait "$job" || status=$?; done
exit $status
