# Man pages and docs/options.md, under the directory `root`, from what `protlm __options` prints (plm_options_dump in
# include/protlm/options.h says how). tools/generate_docs.sh calls it. POSIX awk, by bytes.

function put(words) { printf "%s", words >page }

# A field as it is in the table.
function plain(field,    out, i, c) {
  for (i = 1; i <= length(field); i++) {
    c = substr(field, i, 1)
    if (c == "\\") {
      c = substr(field, ++i, 1)
      c = c == "n" ? "\n" : c == "t" ? "\t" : c
    }
    out = out c
  }
  return out
}

# ---- man(7) ----

# No letter of it may be an escape, and dashes can be copied into a shell.
function roff(words,    out, i, c) {
  for (i = 1; i <= length(words); i++) {
    c = substr(words, i, 1)
    out = out (c in escape ? escape[c] : c)
  }
  return out
}

# The same at the start of a line, which a request must not begin.
function roff_line(words) { return (words ~ /^[.']/ ? "\\&" : "") roff(words) }

function page_name(command) {
  gsub(/ /, "-", command)
  return "protlm-" command
}

function put_paragraphs(text,    line, n, i, blank) {
  n = split(text, line, "\n")
  for (i = 1; i <= n; i++) {
    if (line[i] != "") put(roff_line(line[i]) "\n")
    else if (!blank && i < n) put(".PP\n")
    blank = line[i] == ""
  }
}

# "One of a, b." of the words between separators; nothing without one.
function put_list(opening, words, separator, dashes,    word, n, i, out) {
  n = split(words, word, separator)
  for (i = 1; i <= n; i++)
    if (dashes == "" || length(word[i]) > 1)
      out = out (out == "" ? opening : ", ") "\\fB" roff(dashes word[i]) "\\fR"
  if (out != "") put(out ".\n")
}

function put_man_option(o,    word, n, i, argument) {
  put(".TP\n")
  n = split(aliases[o], word, " ")
  for (i = 1; i <= n; i++) if (length(word[i]) == 1) put("\\fB\\-" word[i] "\\fR, ")
  put("\\fB\\-\\-" (is_on[o] ? "[no\\-]" : "") roff(name[o]) "\\fR")
  if (argument_of[o] != "")
    put(" \\fI" roff(argument_of[o]) "\\fR" (type[o] == "paths" && index(argument_of[o], "...") == 0 ? "..." : ""))
  put("\n" roff_line(help[o]) ".\n")
  if (range[o] != "") put("The value " roff(range[o]) ".\n")
  put_list("One of ", choices[o], "|", "")
  put_list("Also written ", aliases[o], " ", "--")
  if (type[o] == "flag" && is_on[o]) put("Default: on.\n")
  if (type[o] != "flag" && default_of[o] != "") put("Default: " roff(default_of[o]) ".\n")
}

function put_examples(text,    line, n, i, words) {
  if (text == "") return
  put(".SH EXAMPLES\n")
  n = split(text, line, "\n")
  for (i = 1; i <= n; i++) {
    words = line[i]
    if (sub(/^# */, "", words)) put(".PP\n" roff_line(words) ":\n")
    else if (words != "") put(".PP\n.RS 4\n.nf\n" roff_line(words) "\n.fi\n.RE\n")
  }
}

function put_exit_status(how,    i) {
  put(".SH EXIT STATUS\n")
  for (i = 1; i <= exits; i++)
    put(how == "short" ? ".TP\n" exit_code[i] "\n" exit_short[i] "\n" : ".TP 6\n.B " exit_code[i] "\n" exit_long[i] ".\n")
}

function man_page(    o, p, seen, has_config) {
  page = root "/share/man/man1/" page_name(command) ".1"
  put(".TH " roff(toupper(page_name(command))) " 1 \"\" \"protlm " roff(version) "\" \"protlm manual\"\n")
  put(".SH NAME\n" roff(page_name(command)) " \\- " roff(summary) "\n")
  put(".SH SYNOPSIS\n" roff_line(usage) "\n")
  put(".SH DESCRIPTION\n")
  put_paragraphs(description != "" ? description : summary)
  put(".SH OPTIONS\n")
  for (o = 1; o <= options; o++) {
    if (name[o] == "config") has_config = 1
    if (group[o] in seen) continue
    seen[group[o]] = 1
    put(".SS \"" roff(group[o]) "\"\n")
    for (p = o; p <= options; p++) if (group[p] == group[o]) put_man_option(p)
  }
  put_examples(examples)
  put_exit_status("long")
  if (has_config) {
    put(".SH ENVIRONMENT\n.TP\n.B PROTLM_\\fINAME\\fR\n")
    put("A value for the option \\fB\\-\\-\\fIname\\fR, in capitals, with underscores for dashes: \\fBPROTLM_SEED=7\\fR ")
    put("is \\fB\\-\\-seed 7\\fR.\n")
    put("The command line wins over the environment, the environment over a configuration file.\n")
    put(".SH FILES\n.TP\n.I FILE\\fR of \\fB\\-\\-config\\fR\n")
    put("A YAML file with one option a line, without the dashes:\n.RS\n.PP\n.nf\n")
    put("seed: 7\nlearning\\-rate: 4e\\-4\ntrain: [a.fasta, b.fasta.gz]\n.fi\n.RE\n")
  }
  put(".SH SEE ALSO\n.BR protlm (1)\n")
  close(page)
}

function overview(    i) {
  page = root "/share/man/man1/protlm.1"
  put(".TH PROTLM 1 \"\" \"protlm " version "\" \"protlm manual\"\n")
  put(".SH NAME\nprotlm \\- train protein language models\n")
  put(".SH SYNOPSIS\n\\fBprotlm\\fR \\fIcommand\\fR [\\fIoptions\\fR]\n.br\n\\fBprotlm help\\fR [\\fIcommand\\fR]\n")
  put(".SH DESCRIPTION\nprotlm trains ESM\\-2 protein language models on a FASTA or HDF5 file, evaluates them, and ")
  put("shows what happens inside. Models are read and\nwritten as Hugging Face directories. No Python is needed.\n.PP\n")
  put("Results go to standard output; the log, warnings and progress go to standard error.\n")
  put(".SH COMMANDS\nEach has a page of its own, protlm\\-\\fIcommand\\fR(1).\n")
  for (i = 1; i <= commands; i++) put(".TP\n\\fB" command_name[i] "\\fR\n" roff(command_summary[i]) "\n")
  put(".SH ENVIRONMENT\n.TP\n\\fBPROTLM_\\fIOPTION\\fR\n")
  put("A value for an option: \\-\\-learning\\-rate is PROTLM_LEARNING_RATE. The command line wins.\n")
  put(".TP\n\\fBPROTLM_CPU\\fR\nHighest instruction set to use: ref, avx2, avx512, avx512bf16 or amx.\n")
  put(".TP\n\\fBPROTLM_CACHE\\fR, \\fBXDG_CACHE_HOME\\fR, \\fBTMPDIR\\fR\n")
  put("Where packed sequence files go when the data's own directory cannot be written.\n")
  put(".TP\n\\fBHF_HUB_CACHE\\fR, \\fBHF_HOME\\fR\n")
  put("The Hugging Face cache, in which models named by hub id are found. Nothing is ever downloaded.\n")
  put(".TP\n\\fBNO_COLOR\\fR, \\fBTERM\\fR\nNo colours when NO_COLOR is set or TERM is dumb.\n")
  put_exit_status("short")
  close(page)
}

# ---- docs/options.md ----

function cell(words,    out, i, c) {
  for (i = 1; i <= length(words); i++) {
    c = substr(words, i, 1)
    out = out (index("|<*_", c) ? "\\" : "") c
  }
  return out
}

function put_row(o,    word, n, i) {
  put("| `--" (is_on[o] ? "[no-]" : "") name[o] "` | ")
  if (type[o] == "flag") put(is_on[o] ? "on" : "")
  else if (default_of[o] != "") put("`" default_of[o] "`")
  put(" | " cell(help[o]))
  n = split(choices[o], word, "|")
  for (i = 1; i <= n; i++) put((i == 1 ? " (one of " : ", ") "`" word[i] "`" (i == n ? ")" : ""))
  n = split(aliases[o], word, " ")
  for (i = 1; i <= n; i++) put((i == 1 ? "; also " : ", ") "`" (length(word[i]) == 1 ? "-" : "--") word[i] "`")
  put(" |\n")
}

function options_md(    o, last) {
  page = root "/docs/options.md"
  put("\n## protlm " command "\n\n" cell(summary) "\n\n    " usage "\n")
  for (o = 1; o <= options; o++) {
    if (group[o] == "General") continue
    if (group[o] != last) put("\n**" group[o] "**\n\n| option | default | what it does |\n|---|---|---|\n")
    last = group[o]
    put_row(o)
  }
}

function options_md_head() {
  page = root "/docs/options.md"
  put("# Options\n\nMade by `make docs` from the tables that the program itself uses; `protlm <command> --help` says the ")
  put("same.\n\nValues come, strongest first, from the command line, the environment (`--learning-rate` is ")
  put("`PROTLM_LEARNING_RATE`), the file named by\n`--config`, and the defaults; `--print-config` shows each with its ")
  put("origin. Underscores are read as dashes. Numbers take K, M and G (16K is\n16,000 for counts and 16,384 for ")
  put("memory), times s, m, h and d (`1h30m`). A flag is `--flag`, `--no-flag` or `--flag=false`. There are no\n")
  put("abbreviations.\n\nEvery command also takes `--help`, `--quiet`, `--verbose` (`-v`, `-vv`) and `--no-color`.\n")
}

# ---- reading ----

function end_table() {
  if (commands == 0) return
  man_page()
  options_md()
}

function exit_words(code, short, long) {
  exit_code[++exits] = code
  exit_short[exits] = short
  exit_long[exits] = long
}

BEGIN {
  FS = "\t"
  escape["\\"] = "\\e"; escape["-"] = "\\-"; escape["'"] = "\\(aq"
  escape["`"] = "\\(ga"; escape["~"] = "\\(ti"; escape["^"] = "\\(ha"
  exit_words(0, "done", "Done")
  exit_words(1, "something outside protlm failed", "Something outside the program failed")
  exit_words(2, "an option, or an output directory that cannot be used as asked",
             "An option is wrong, or a run directory cannot be used as asked")
  exit_words(3, "a data, model or configuration file is unreadable or wrong",
             "A data, model or configuration file cannot be read or is damaged")
  exit_words(4, "checkpoints are damaged and there is none to fall back on",
             "The checkpoints of the run are damaged and there is none to fall back on")
  exit_words(5, "the loss or gradients were not finite, several times in a row",
             "The loss or the gradients were not finite, several times in a row")
  exit_words(6, "out of memory or disk, or an output cannot be written",
             "Memory or disk space ran out, or an output cannot be written")
  exit_words(70, "a defect of protlm; please report it", "An error in the program itself: please report it")
  exit_words(75, "stopped early with a good checkpoint: run the same command again",
             "Stopped early, in good order: run the same command again to go on")
  options_md_head()
}
$1 == "version" { version = plain($2) }
$1 == "table" {
  end_table()
  options = 0
  command = plain($2); summary = plain($3); usage = plain($4); description = plain($5); examples = plain($6)
  command_name[++commands] = command
  command_summary[commands] = summary
}
$1 == "option" {
  name[++options] = plain($2); aliases[options] = plain($3); type[options] = plain($4); argument_of[options] = plain($5)
  default_of[options] = plain($6); range[options] = plain($7); choices[options] = plain($8)
  group[options] = plain($9); help[options] = plain($10)
  is_on[options] = type[options] == "flag" && default_of[options] == "true"
}
END {
  end_table()
  overview()
}
