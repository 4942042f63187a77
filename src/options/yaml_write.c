/* yaml_write.c - a text as a scalar of YAML: in configurations, and in lines that somebody is to type into one. */
#include <string.h>
#include <strings.h>

#include "options/internal.h"

/* The code point of a valid UTF-8 character of `length` bytes. */
static unsigned decode(const char *text, size_t length) {
  static const unsigned char first_bits[] = {0, 0x7F, 0x1F, 0x0F, 0x07};
  unsigned code = (unsigned char)*text & first_bits[length];
  for (size_t i = 1; i < length; i++) code = code << 6 | ((unsigned char)text[i] & 0x3F);
  return code;
}

/* What YAML takes as it stands between double quotes: no controls, no exotic line ends, no byte order mark. */
static bool is_printable(unsigned code) {
  if (code < 0xA0) return code >= 0x20 && code < 0x7F && code != '"' && code != '\\';
  return code != 0x2028 && code != 0x2029 && code != 0xFEFF && code != 0xFFFE && code != 0xFFFF;
}

/* A scalar of YAML. Plain where no reader can take it for anything else, in a list too. */
void plm_option_yaml_write(const char *text, plm_text *out) {
  static const char safe[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_./+-=@";
  static const char *const words[] = {"null", "true", "false", "yes", "no", "on", "off", "y", "n", "."};
  bool is_plain = *text != '\0' && strspn(text, safe) == strlen(text) && strchr("-=@", *text) == NULL;
  for (size_t i = 0; i < sizeof words / sizeof *words; i++) is_plain = is_plain && strcasecmp(text, words[i]) != 0;
  if (is_plain) {
    plm_text_append(out, text);
    return;
  }
  plm_text_append(out, "\"");
  for (size_t i = 0, length, bytes = strlen(text); i < bytes; i += length) {
    length = plm_utf8_length(text + i, bytes - i); /* never 0: option values are valid UTF-8 */
    unsigned code = decode(text + i, length);
    if (is_printable(code))
      plm_text_append_bytes(out, text + i, length);
    else
      plm_text_printf(out, "\\u%04X", code);
  }
  plm_text_append(out, "\"");
}
