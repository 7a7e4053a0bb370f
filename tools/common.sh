# Licensed under the Apache License, Version 2.0 (the "License"); you may
# not use this file except in compliance with the License. You may obtain
# a copy of the License at
#
#      http://www.apache.org/licenses/LICENSE-2.0
#
# Unless required by applicable law or agreed to in writing, software
# distributed under the License is distributed on an "AS IS" BASIS, WITHOUT
# WARRANTIES OR CONDITIONS OF ANY KIND, either express or implied. See the
# License for the specific language governing permissions and limitations
# under the License.

# Sourced by the commands of this folder: their surroundings, and virtualenvs made once.

cd "$(dirname "${BASH_SOURCE[0]}")/.." || exit

# What a test logs is shown of failed ones only.
export OS_LOG_CAPTURE=1

PYTHON=${PYTHON:-python3}
"$PYTHON" -c 'import sys; sys.exit(sys.version_info < (3, 11))' || {
    echo "Python 3.11 or newer is needed; $PYTHON is $("$PYTHON" --version)." >&2
    exit 1
}

# virtualenv NAME REQUIREMENT...: make .venv/NAME with what pip is told to install, unless the
# same was installed there before. An interrupted installation is made anew.
virtualenv() {
    local name=$1 venv=.venv/$1 wanted
    shift
    wanted=$("$PYTHON" --version; echo "$@")
    case " $* " in  # of this checkout
        *' . '* | *' .['*) wanted+=$(cat setup.cfg ./*requirements.txt) ;;
    esac
    [ "$(cat "$venv/installed" 2>/dev/null)" = "$wanted" ] && return
    echo "Installing .venv/$name; this is needed once."
    rm -rf "$venv"
    "$PYTHON" -m venv "$venv"
    "$venv/bin/pip" install --quiet --disable-pip-version-check "$@"
    echo "$wanted" > "$venv/installed"
}

# Make .venv/test, with all extras.
test_virtualenv() {
    virtualenv test -r requirements.txt -r test-requirements.txt \
        --editable '.[service,swift,s3,redis,etcd,zookeeper,mysql,postgresql]'
}
