# Debian's packages, fetched with an apt state of one's own under the folder $work: nothing of the system's is touched. To be sourced.

# apt-get with a state of its own for one suite and architecture.
own_apt() {
    local state=$work/$1-$2 arch=$2 command=$3
    shift 3
    "$command" -q -o Dir::State="$state" -o Dir::State::lists="$state/lists" -o Dir::State::status="$state/status" \
        -o Dir::Cache="$state/cache" -o Dir::Etc::sourcelist="$state/sources" -o Dir::Etc::sourceparts=/dev/null \
        -o APT::Architecture="$arch" -o APT::Architectures="$arch" \
        -o Acquire::Languages=none -o APT::Sandbox::User=root "$@"
}

# The unpacked package, in $package_root; further words are the files of it that are wanted.
fetch() {
    local suite=$1 arch=$2 package=$3
    shift 3
    local state=$work/$suite-$arch archive=debian
    package_root=$work/root/$package
    [ -d "$package_root" ] && return 0
    if [ ! -d "$state" ]; then
        mkdir -p "$state/lists/partial" "$state/cache/archives/partial"
        : >"$state/status"
        case $suite in *-security) archive=debian-security ;; esac
        echo "deb [signed-by=/usr/share/keyrings/debian-archive-keyring.gpg] http://deb.debian.org/$archive $suite main" >"$state/sources"
        own_apt "$suite" "$arch" apt-get update >/dev/null
    fi
    (cd "$work" && own_apt "$suite" "$arch" apt-get download "$package" >/dev/null) || return 1
    mkdir -p "$package_root"
    if [ $# = 0 ]; then
        dpkg-deb -x "$work/$package"_*.deb "$package_root"
    else
        dpkg-deb --fsys-tarfile "$work/$package"_*.deb | tar -x -C "$package_root" --wildcards "$@"
    fi
    rm "$work/$package"_*.deb
}

# Whether a name contains one of the further words, if there are any.
wanted() {
    local file=$1 word
    shift
    [ $# = 0 ] && return 0
    for word; do case $file in *"$word"*) return 0 ;; esac done
    return 1
}
