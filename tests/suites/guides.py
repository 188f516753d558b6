"""Every example of the guide for clients, run as it stands there."""

from harness import guides
from suites.columns import DATABASE, USER
from suites.suite import Suite


class Guides(Suite):
    """The guide's clients; those for Python are run by the interpreter at hand, if it has them."""

    name = "guides"
    quick = ("psql", "node_postgres")

    def prepare(self):
        pass

    def outcomes(self, column, target, only=()):
        words = {"HOST": "127.0.0.1", "PORT": str(column.port), "USER": USER, "CONNECTION": DATABASE, "TOKEN": column.password}
        found = {}
        for _, client, _ in guides.examples():
            if only and client not in only:
                continue
            try:
                done = guides.run(client, words, self.dir)
            except guides.NotHere as why:
                found[client] = "skipped"
                self.tell(column, client, str(why))
                continue
            found[client] = "passed" if done.returncode == 0 and "1" in done.stdout.split() else "failed"
            self.tell(column, client, done.stdout + done.stderr)
        return found
