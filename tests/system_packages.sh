#!/bin/sh
# Asks Debian for what Python's packages cannot bring: a C compiler (aacgmv2 is shipped as source) and, for the tests,
# Chromium. Says plainly what is missing where it may not or cannot install; only the compiler is worth stopping for.
case "$1" in
  compiler) for name in cc gcc clang; do command -v $name >/dev/null 2>&1 && exit 0; done; packages="gcc libc6-dev python3-dev" ;;
  chromium) for name in chromium chromium-browser google-chrome; do command -v $name >/dev/null 2>&1 && exit 0; done; packages=chromium ;;
  *) echo "usage: $0 compiler|chromium" >&2; exit 2 ;;
esac
if command -v apt-get >/dev/null 2>&1 && [ "$(id -u)" = 0 ]; then
  echo "Installing $packages with apt-get"
  if apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -y -qq $packages >/dev/null; then exit 0; fi
fi
if [ "$1" = chromium ]; then
  echo "No Chromium here and no way to install it (apt-get as root): the browser tests will be skipped." >&2; exit 0
fi
echo "No C compiler here and no way to install one. Install a C compiler and Python's headers, then try again." >&2; exit 1
