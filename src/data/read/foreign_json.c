/* foreign_json.c - JSON and JSON Lines: which key holds the sequences, told from the first records. See foreign_file.h.
 *
 * The beginning of a document is no document, so this looks for pairs of a key and a text, and at how deep they stand.
 */
#include <ctype.h>
#include <stdio.h>
#include <string.h>

#include "data/read/foreign_internal.h"

enum { KEY_BYTES = 64 };

typedef struct pairs {
  char sequence[KEY_BYTES], id[KEY_BYTES]; /* keys; "": none found */
  bool named;                              /* the first's name says that it holds sequences */
  int depth;                               /* where the first stands */
  bool listed;                             /* a text of residues stands in a list */
} pairs;

/* From behind a quotation mark to the next one; false where it is cut. */
static bool quoted(const plm_foreign_look *look, size_t *at, plm_foreign_line *ret_text) {
  size_t begin = *at;
  for (; *at < look->bytes; ++*at) {
    if (look->text[*at] == '\\')
      ++*at;
    else if (look->text[*at] == '"')
      break;
  }
  if (*at >= look->bytes) return false;
  *ret_text = (plm_foreign_line){.text = look->text + begin, .bytes = *at - begin};
  ++*at;
  return true;
}

static char next_mark(const plm_foreign_look *look, size_t at) {
  while (at < look->bytes && isspace((unsigned char)look->text[at])) at++;
  return at < look->bytes ? look->text[at] : '\0';
}

/* Keys that can stand in a line of Python between single quotes as they are. */
static bool is_plain(plm_foreign_line key) {
  for (size_t i = 0; i < key.bytes; i++)
    if (!isalnum((unsigned char)key.text[i]) && strchr("_-. ", key.text[i]) == NULL) return false;
  return key.bytes > 0 && key.bytes < KEY_BYTES;
}

static void keep(char to[KEY_BYTES], plm_foreign_line key) {
  snprintf(to, KEY_BYTES, "%.*s", (int)key.bytes, key.text);
}

static void take_value(pairs *p, plm_foreign_line key, plm_foreign_line value, int depth) {
  bool named = plm_foreign_is_sequence_name(key.text, key.bytes);
  if (p->sequence[0] == '\0' && is_plain(key) && plm_foreign_is_residues(value.text, value.bytes, named ? 1 : 10)) {
    keep(p->sequence, key);
    p->named = named;
    p->depth = depth;
  }
}

static void look_for_pairs(const plm_foreign_look *look, pairs *p) {
  plm_foreign_line key = {0}, text;
  int depth = 0;
  for (size_t at = 0; at < look->bytes;) {
    char c = look->text[at++];
    depth += (c == '{' || c == '[') - (c == '}' || c == ']');
    if (c == '}' && p->sequence[0] != '\0') return;
    if (c != '"') {
      if (strchr("{}[],", c) != NULL) key = (plm_foreign_line){0};
      continue;
    }
    if (!quoted(look, &at, &text)) return;
    if (next_mark(look, at) == ':') {
      key = text;
      if (p->id[0] == '\0' && is_plain(key) && plm_foreign_is_id_name(key.text, key.bytes)) keep(p->id, key);
    } else if (key.text != NULL) {
      take_value(p, key, text, depth);
    } else {
      p->listed = p->listed || (depth == 1 && plm_foreign_is_residues(text.text, text.bytes, 5));
    }
  }
}

#define PYTHON "python3 -c 'import json,sys; [print(\">%%s\\n%%s\" %% %s) for %s in %s]'"
#define WHOLE "json.load(sys.stdin)"
#define LINES "map(json.loads,filter(str.strip,sys.stdin))"

static plm_status say_records(const plm_foreign_look *look, const pairs *p, const char *what, const char *source) {
  char filter[512], tuple[200], list[120];
  if (p->id[0] != '\0')
    snprintf(tuple, sizeof tuple, "(r.get(\"%s\",i),r[\"%s\"])", p->id, p->sequence);
  else
    snprintf(tuple, sizeof tuple, "(i,r[\"%s\"])", p->sequence);
  snprintf(list, sizeof list, "enumerate(%s,1)", source);
  snprintf(filter, sizeof filter, PYTHON, tuple, "i,r", list);
  return plm_foreign_filter(look, what, filter);
}

/* An object a line: the first one ends where its line does. */
static bool is_lines(const plm_foreign_look *look) {
  plm_foreign_line line;
  size_t at = 0;
  int depth = 0;
  if (look->text[0] != '{' || !plm_foreign_next_line(look, &at, &line)) return false;
  for (size_t i = 0; i < line.bytes; i++) depth += (line.text[i] == '{') - (line.text[i] == '}');
  return depth == 0;
}

plm_status plm_foreign_json_check(const plm_foreign_look *look) {
  char filter[512], first = look->text[0], second = next_mark(look, 1);
  pairs p = {0};
  if (!(first == '{' && (second == '"' || second == '}')) && !(first == '[' && strchr("{[\"]", second) != NULL))
    return PLM_OK;
  look_for_pairs(look, &p);
  bool lines = is_lines(look), found = p.sequence[0] != '\0', record = p.named || p.id[0] != '\0';
  if (found && lines && p.depth == 1 && record) return say_records(look, &p, "JSON Lines", LINES);
  if (found && first == '{' && p.depth == 1 && record) return say_records(look, &p, "JSON", "[" WHOLE "]");
  if (found && first == '[' && p.depth == 2) return say_records(look, &p, "JSON", WHOLE);
  if (found && first == '{' && p.depth == 1) {
    snprintf(filter, sizeof filter, PYTHON, "p", "p",
             lines ? "(p for l in sys.stdin for p in json.loads(l).items())" : WHOLE ".items()");
    return plm_foreign_filter(look, lines ? "JSON Lines" : "JSON", filter);
  }
  if (p.listed && first == '[') {
    snprintf(filter, sizeof filter, PYTHON, "p", "p", "enumerate(" WHOLE ",1)");
    return plm_foreign_filter(look, "JSON", filter);
  }
  plm_foreign_name(look, lines ? "JSON Lines" : "JSON");
  return plm_hint(PLM_E_INPUT, "write a line '>name' and a line of letters for each sequence in it");
}
