#!/bin/sh
# Print the versions of the tools whose output is in the image.
for tool in gcc ld lz4 bison flex make; do
	"$tool" --version | head -1
done
