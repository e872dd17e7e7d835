#!/usr/bin/env bash
# Gives the place in line up, and what was reserved, when the job is cancelled: `select.sh` does so
# itself unless it was ended too quickly or was done already. Asking twice is harmless.
set -euo pipefail

readonly authorization=${FOLDER:+$FOLDER/authorization}
if [[ ! -s $authorization ]]; then
    echo 'there is nothing to withdraw'
    exit 0
fi
status=$(curl --silent --show-error --output /dev/null --write-out '%{http_code}' --connect-timeout 2 \
    --max-time 5 --retry 2 --request DELETE --header "@$authorization" "$QUEUE_URL/job/$UNIQUE_ID") || true
case $status in
    # A job that the queue does not know has left the line already.
    2* | 404) echo 'withdrawn from the queue' ;;
    *) echo 'failed to withdraw; the queue gives the job up by itself' ;;
esac
