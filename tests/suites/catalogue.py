"""The suites of others, by name."""

from suites.guides import Guides
from suites.node import NodePostgres
from suites.postgres_source import Isolation, LibpqPipeline, Regress, source_tree
from suites.python import Asyncpg, Pg8000, Psycopg2
from suites.rust import TokioPostgres
from suites.suite import NotHere

__all__ = ("SUITES", "NotHere", "source_tree")

SUITES = {
    suite.name: suite
    for suite in (Asyncpg, Psycopg2, Pg8000, NodePostgres, TokioPostgres, LibpqPipeline, Isolation, Regress, Guides)
}
