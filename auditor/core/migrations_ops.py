"""Migration operations for what the database itself must guarantee."""

from __future__ import annotations

from django.db.migrations import RunSQL

_FUNCTION = """
CREATE OR REPLACE FUNCTION auditor_forbid_change() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  RAISE EXCEPTION '% is append-only: % refused', TG_TABLE_NAME, TG_OP USING ERRCODE = 'restrict_violation';
END $$;
"""


def append_only(table: str) -> RunSQL:
    """Refuse UPDATE, DELETE and TRUNCATE on `table`."""
    return RunSQL(
        _FUNCTION
        + f"""
        CREATE TRIGGER {table}_rows_are_final BEFORE UPDATE OR DELETE ON {table}
          FOR EACH ROW EXECUTE FUNCTION auditor_forbid_change();
        CREATE TRIGGER {table}_table_is_final BEFORE TRUNCATE ON {table}
          FOR EACH STATEMENT EXECUTE FUNCTION auditor_forbid_change();
        """,
        f"DROP TRIGGER {table}_rows_are_final ON {table}; DROP TRIGGER {table}_table_is_final ON {table};",
    )


def frozen_columns(table: str, columns: list[str]) -> RunSQL:
    """Refuse to change `columns` of a row, or to delete it, once it is written."""
    same = " OR ".join(f"NEW.{c} IS DISTINCT FROM OLD.{c}" for c in columns)
    return RunSQL(
        _FUNCTION
        + f"""
        CREATE TRIGGER {table}_frozen_columns BEFORE UPDATE ON {table}
          FOR EACH ROW WHEN ({same}) EXECUTE FUNCTION auditor_forbid_change();
        CREATE TRIGGER {table}_rows_stay BEFORE DELETE ON {table}
          FOR EACH ROW EXECUTE FUNCTION auditor_forbid_change();
        """,
        f"DROP TRIGGER {table}_frozen_columns ON {table}; DROP TRIGGER {table}_rows_stay ON {table};",
    )


def composite_foreign_key(table: str, columns: list[str], target: str, target_columns: list[str]) -> RunSQL:
    """A foreign key over several columns, so that a copied column cannot disagree with its source."""
    name = f"{table}_{'_'.join(columns)}_fk"
    return RunSQL(
        f"ALTER TABLE {table} ADD CONSTRAINT {name} FOREIGN KEY ({', '.join(columns)}) "
        f"REFERENCES {target} ({', '.join(target_columns)}) DEFERRABLE INITIALLY DEFERRED",
        f"ALTER TABLE {table} DROP CONSTRAINT {name}",
    )
