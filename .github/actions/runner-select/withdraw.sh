#!/usr/bin/env bash
# Gives the place in line up, and what was reserved, when the job is cancelled: `select.sh` does so
# itself unless it was ended too quickly or was done already. Asking twice is harmless.
set -euo pipefail

readonly authorization=${FOLDER:+$FOLDER/authorization}
if [[ ! -s $authorization ]]; then
    echo 'there is nothing to withdraw'
    exit 0
fi
if curl --silent --show-error --fail --output /dev/null --connect-timeout 2 --max-time 5 --retry 2 \
    --request DELETE --header "@$authorization" "$QUEUE_URL/job/$UNIQUE_ID"; then
    echo 'withdrawn from the queue'
else
    echo 'failed to withdraw; the queue gives the job up by itself'
fi
