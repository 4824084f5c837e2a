# zsh_complete.zsh FOLDER "LINE": types LINE and a tab into an interactive zsh that has FOLDER in its $fpath, and
# prints what stands on the terminal afterwards.
zmodload zsh/zpty
zpty -b shell zsh -f -i
zpty -w shell "PROMPT=; TERM=dumb; fpath=($1 \$fpath); autoload -Uz compinit; compinit -u -D; zstyle ':completion:*' list-prompt ''; print re''ady"
local text=
repeat 200; do
  zpty -rt shell piece && text+=$piece || sleep 0.05
  [[ $text == *$'ready\r'* ]] && break
done
zpty -wn shell "$2"$'\t'
repeat 60; do
  zpty -rt shell piece && text+=$piece || sleep 0.05
  (( ++waited ))
done
print -r -- "$text"
zpty -d shell
