"""The examples of the guide for clients, run as they stand there."""

import os
import re
import shutil
import subprocess
import sys

from .sluice import ROOT

GUIDE = os.path.join(ROOT, "docs", "guides", "clients.md")
JDBC = "/usr/share/java/postgresql.jar"
NODE_POSTGRES = "pg@8.16.3"
RUST = {"sqlx": 'sqlx = { version = "0.8", default-features = false, features = ["runtime-tokio", "postgres"] }', "tokio_postgres": 'tokio-postgres = "0.7"'}
PGX = "github.com/jackc/pgx/v5"
# Where Debian puts Go packages, and the version of pgx that it has: what the example uses is the same in both.
GO_PATH = "/usr/share/gocode"
PGX_OF_DEBIAN = "github.com/jackc/pgx/v4"
SECONDS_MAX = 600


class NotHere(Exception):
    """What runs the example is not on this machine."""


def examples():
    """Language, client and text of every example that names the client it is for."""
    with open(GUIDE, encoding="utf-8") as guide:
        return re.findall(r"^```(\w+) (\w+)\n(.*?)^```", guide.read(), re.M | re.S)


def run(client, words, work):
    """Runs a client's example with the five words filled in; `work` keeps what it needs between two runs."""
    ((language, _, text),) = [example for example in examples() if example[1] == client]
    for word, value in words.items():
        text = re.sub(rf"\b{word}\b", value, text)
    folder = os.path.join(work, client)
    os.makedirs(folder, exist_ok=True)
    command = RUNNERS[language](client, text, folder)
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=SECONDS_MAX, check=False)


def shell(_client, text, _folder):
    return ["sh", "-c", text]


def python(_client, text, _folder):
    return [sys.executable, "-c", text]


def javascript(_client, text, folder):
    needed("node", "npm")
    if not os.path.exists(os.path.join(folder, "node_modules", "pg")):
        prepare(["npm", "install", "--no-audit", "--no-fund", "--ignore-scripts", "--prefix", folder, NODE_POSTGRES], folder)
    return ["node", "-e", text]


def java(_client, text, folder):
    needed("java", "javac")
    if not os.path.exists(JDBC):
        raise NotHere("JDBC's driver is not installed: libpostgresql-jdbc-java")
    write(os.path.join(folder, "Connect.java"), text)
    return ["java", "-cp", JDBC, "Connect.java"]


def rust(client, text, folder):
    needed("cargo")
    os.makedirs(os.path.join(folder, "src"), exist_ok=True)
    write(os.path.join(folder, "src", "main.rs"), text)
    manifest = f'[package]\nname = "guide"\nversion = "0.0.0"\nedition = "2024"\n[dependencies]\ntokio = {{ version = "1", features = ["full"] }}\n{RUST[client]}\n[workspace]\n'
    write(os.path.join(folder, "Cargo.toml"), manifest)
    return ["cargo", "run", "--quiet", "--target-dir", os.path.join(folder, "target")]


def go(_client, text, folder):
    needed("go")
    if os.path.isdir(os.path.join(GO_PATH, "src", PGX_OF_DEBIAN)):
        write(os.path.join(folder, "main.go"), text.replace(PGX, PGX_OF_DEBIAN))
        return ["env", "GO111MODULE=off", f"GOPATH={GO_PATH}", f"GOCACHE={folder}/cache", "go", "run", "main.go"]
    write(os.path.join(folder, "main.go"), text)
    write(os.path.join(folder, "go.mod"), f"module guide\ngo 1.19\nrequire {PGX} v5.3.1\n")
    if not os.path.exists(os.path.join(folder, "go.sum")):
        prepare(["go", "mod", "tidy"], folder)
    return ["go", "run", "."]


RUNNERS = {"sh": shell, "python": python, "js": javascript, "java": java, "rust": rust, "go": go}


def needed(*programs):
    for program in programs:
        if not shutil.which(program):
            raise NotHere(f"{program} is not installed")


def prepare(command, folder):
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=SECONDS_MAX, check=False)
    if done.returncode != 0:
        raise NotHere(f"{' '.join(command)}: {done.stderr[-500:]}")


def write(path, text):
    if os.path.exists(path):
        with open(path, encoding="utf-8") as file:
            if file.read() == text:
                return
    with open(path, "w", encoding="utf-8") as file:
        file.write(text)
