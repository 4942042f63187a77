# bash completion for protlm: the program itself says what may follow
_protlm() {
  local cur=${COMP_WORDS[COMP_CWORD]} word description
  [[ $cur != = ]] || cur='' # --name=value comes as three words
  COMPREPLY=()
  while IFS=$'\t' read -r word description; do
    if [[ $word == :files ]]; then
      compopt -o filenames 2>/dev/null
      mapfile -t COMPREPLY < <(compgen -f -- "$cur")
    elif [[ $word == "$cur"* ]]; then
      COMPREPLY+=("$word")
    fi
  done < <("${COMP_WORDS[0]/#\~/$HOME}" __complete "${COMP_WORDS[@]:1:COMP_CWORD}" 2>/dev/null)
}
complete -F _protlm protlm
