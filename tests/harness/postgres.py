"""A private PostgreSQL: its own data directory, a free port, users for every password method, its log as a witness."""

import glob
import os
import pwd
import shutil
import subprocess
import tempfile

from .process import as_user, free_port, stop, wait_for_port

PASSWORD = "target-secret"


def binary(name):
    """Newest installed server binary of this name."""
    found = sorted(glob.glob(f"/usr/lib/postgresql/*/bin/{name}"))
    if not found:
        raise FileNotFoundError(f"{name}: install the Debian package postgresql")
    return found[-1]


class Postgres:
    """Started by the constructor, stopped and removed by `close`."""

    def __init__(self, settings=None, tls=False):
        self.root = tempfile.mkdtemp(prefix="sluice-pg-")
        self.data = os.path.join(self.root, "data")
        self.log_path = os.path.join(self.root, "log")
        self.port = free_port()
        if os.geteuid() == 0:
            user = pwd.getpwnam("postgres")
            os.chown(self.root, user.pw_uid, user.pw_gid)
        self._run([binary("initdb"), "-D", self.data, "-U", "postgres", "-A", "trust", "-E", "UTF8", "--locale=C.UTF-8", "--no-sync"])
        self._configure(settings or {}, tls)
        self._start()
        self.sql(
            "CREATE ROLE scram_user LOGIN PASSWORD '%s'" % PASSWORD,
            "SET password_encryption = 'md5'",
            "CREATE ROLE md5_user LOGIN PASSWORD '%s'" % PASSWORD,
            "CREATE ROLE clear_user LOGIN PASSWORD '%s'" % PASSWORD,
        )

    def _configure(self, settings, tls):
        lines = {
            "listen_addresses": "'127.0.0.1'",
            "port": str(self.port),
            "unix_socket_directories": f"'{self.root}'",
            "fsync": "off",
            "full_page_writes": "off",
            "max_connections": "300",
            "logging_collector": "off",
            "log_statement": "'all'",
            "log_line_prefix": "'%m [%p] '",
            "log_parameter_max_length": "-1",
            **settings,
        }
        if tls:
            self._make_certificate()
            lines |= {"ssl": "on"}
        with open(os.path.join(self.data, "postgresql.auto.conf"), "a", encoding="utf-8") as conf:
            conf.writelines(f"{key} = {value}\n" for key, value in lines.items())
        with open(os.path.join(self.data, "pg_hba.conf"), "w", encoding="utf-8") as hba:
            hba.write(
                "local all postgres trust\n"
                "host replication postgres 127.0.0.1/32 trust\n"
                "host replication all 127.0.0.1/32 scram-sha-256\n"
                "host all postgres 127.0.0.1/32 trust\n"
                "host all md5_user 127.0.0.1/32 md5\n"
                "host all clear_user 127.0.0.1/32 password\n"
                "host all all 127.0.0.1/32 scram-sha-256\n"
            )

    def _make_certificate(self):
        key, certificate = os.path.join(self.data, "server.key"), os.path.join(self.data, "server.crt")
        self._run(
            ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "30", "-subj", "/CN=localhost",
             "-addext", "subjectAltName=DNS:localhost,IP:127.0.0.1", "-keyout", key, "-out", certificate]
        )
        self._run(["chmod", "600", key])
        self.certificate = certificate

    def _run(self, command):
        subprocess.run(as_user("postgres", command), check=True, capture_output=True, cwd=self.root)

    def _start(self):
        with open(self.log_path, "ab") as log:
            self.process = subprocess.Popen(
                as_user("postgres", [binary("postgres"), "-D", self.data]), stdout=log, stderr=log, cwd=self.root
            )
        wait_for_port(self.port, process=self.process)
        for _ in range(200):
            if subprocess.run([*self._psql("postgres"), "-c", "SELECT 1"], capture_output=True, check=False).returncode == 0:
                return
        raise RuntimeError(f"PostgreSQL does not answer: {self.log()[-2000:]}")

    def _psql(self, database):
        return ["psql", "-X", "-v", "ON_ERROR_STOP=1", "-At", "-h", self.root, "-p", str(self.port), "-U", "postgres", "-d", database]

    def require_password(self, password):
        """From here on the superuser, too, needs a password where it comes over TCP."""
        self.sql("SET password_encryption = 'scram-sha-256'", f"ALTER ROLE postgres PASSWORD '{password}'")
        path = os.path.join(self.data, "pg_hba.conf")
        with open(path, encoding="utf-8") as hba:
            text = hba.read()
        with open(path, "w", encoding="utf-8") as hba:
            hba.write(text.replace("host all postgres 127.0.0.1/32 trust\n", ""))
        self.sql("SELECT pg_reload_conf()")

    def sql(self, *statements, database="postgres"):
        """Runs statements as the superuser, directly, in one session; returns what psql prints."""
        command = self._psql(database)
        for statement in statements:
            command += ["-c", statement]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        if done.returncode != 0:
            raise RuntimeError(done.stderr)
        return done.stdout

    def create_database(self, name, script=""):
        """A fresh database, owned by `scram_user`, filled by a script."""
        self.sql(f'CREATE DATABASE "{name}" OWNER scram_user')
        if script:
            subprocess.run([*self._psql(name)], input=script, text=True, capture_output=True, check=True)
        self.sql(
            "GRANT ALL ON SCHEMA public TO PUBLIC",
            "GRANT ALL ON ALL TABLES IN SCHEMA public TO PUBLIC",
            "GRANT ALL ON ALL SEQUENCES IN SCHEMA public TO PUBLIC",
            database=name,
        )

    def url(self, database, user="postgres", password=None):
        """Connection string for a direct connection."""
        secret = f" password={password}" if password else ""
        return f"host=127.0.0.1 port={self.port} user={user} dbname={database}{secret}"

    def log(self):
        """Everything that the server has logged."""
        with open(self.log_path, encoding="utf-8", errors="replace") as log:
            return log.read()

    def close(self):
        """Stops the server and removes its files."""
        if self.process.poll() is None:
            self.process.send_signal(2)
        stop(self.process)
        shutil.rmtree(self.root, ignore_errors=True)
