/* alphabet.c - see alphabet.h */
#include "data/alphabet.h"
