#!/bin/sh
# Speech over HTTP with curl alone:  sh curl_speech.sh "The train leaves at nine." train.wav
# The suffix of the file names the format: wav, mp3, opus, aac, flac or pcm.
# VOICE_SERVER and VOICE_KEY name another server than this machine's.
set -eu
# as JSON wants it: a backslash before \ and ", \n between lines, no other control characters
text=$(printf %s "$1" | tr '\t\r' '  ' | tr -d '\000-\010\013-\037' | sed 's/[\\"]/\\&/g' |
  awk '{ printf "%s%s", between, $0; between = "\\n" }')
output=${2:-speech.wav}
curl --fail-with-body --silent --show-error --no-buffer \
  "${VOICE_SERVER:-http://127.0.0.1:8080}/v1/audio/speech" \
  -H "Authorization: Bearer ${VOICE_KEY:-none}" \
  -H "Content-Type: application/json" \
  -d "{\"model\": \"voiced\", \"voice\": \"ada\", \"input\": \"$text\", \"response_format\": \"${output##*.}\"}" \
  -o "$output"
