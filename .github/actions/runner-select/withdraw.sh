#!/usr/bin/env bash
# Withdraws the job from the queue when the workflow is cancelled. `select.sh` does so itself unless it
# was killed first, or had its runners already. A repeated withdrawal has no effect.
# shellcheck source=.github/actions/runner-select/common.sh
. "${BASH_SOURCE[0]%/*}/common.sh"

readonly authorization=${FOLDER:+$FOLDER/authorization}
if [[ ! -s $authorization ]]; then
    echo 'nothing to withdraw'
    exit 0
fi
status=$(http --output /dev/null --write-out '%{http_code}' --connect-timeout 2 --max-time 5 --retry 2 \
    --request DELETE --header 'Accept: application/json' --config "$authorization" --url "$QUEUE_URL/job/$UNIQUE_ID") || true
case $status in
    # 404: the queue does not know the job, so it was withdrawn already; or a proxy has no such path, in which
    # case the queue abandons the job.
    204 | 404) echo 'withdrew the job from the queue' ;;
    *) echo 'failed to withdraw the job; the queue abandons it after 30 s' ;;
esac
