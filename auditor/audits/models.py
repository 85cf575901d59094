"""What was done: audits, the runs of their evaluations, what was measured, and what the policy says of it."""

from __future__ import annotations

from typing import ClassVar

from django.db import models
from django.utils.translation import gettext_lazy as _

from auditor.accounts.models import User
from auditor.core import ids
from auditor.policies.models import PolicyVersion
from auditor.registry.models import DatasetVersion, ModelVersion


class AuditStatus(models.TextChoices):
    DRAFT = "draft", _("Draft")
    QUEUED = "queued", _("Queued")
    RUNNING = "running", _("Running")
    COMPLETED = "completed", _("Completed")
    CANCELLING = "cancelling", _("Cancelling")
    CANCELLED = "cancelled", _("Cancelled")


class Audit(models.Model):
    """One assessment of a model version under one or more policy versions: measured once, one card each."""

    team_path: ClassVar[str] = "model_version__model__team"

    id = models.CharField(primary_key=True, max_length=32, default=ids.audit_id, editable=False)
    model_version = models.ForeignKey(ModelVersion, on_delete=models.PROTECT, related_name="audits")
    dataset_version = models.ForeignKey(DatasetVersion, on_delete=models.PROTECT, related_name="audits")
    policy_versions = models.ManyToManyField(PolicyVersion, related_name="audits")
    # another model, which judges answers where an evaluation asks for that
    judge_version = models.ForeignKey(
        ModelVersion, null=True, blank=True, on_delete=models.PROTECT, related_name="+"
    )
    # a model that was not trained on the data, which some evaluations ask the same
    reference_version = models.ForeignKey(
        ModelVersion, null=True, blank=True, on_delete=models.PROTECT, related_name="+"
    )
    status = models.CharField(max_length=16, choices=AuditStatus, default=AuditStatus.DRAFT)
    seed = (
        models.PositiveBigIntegerField()
    )  # from the digests of model, suite and data: there is none to shop for
    digest = models.CharField(max_length=71)  # of everything that is pinned
    ordinal = (
        models.PositiveIntegerField()
    )  # the how-many-th audit of this model digest, cancelled ones counted
    supersedes = models.ForeignKey("self", null=True, blank=True, on_delete=models.PROTECT, related_name="+")
    # what its runs may spend at endpoints, and what they have spent or set aside: budgets.py
    max_requests = models.PositiveBigIntegerField(null=True, blank=True)
    max_tokens = models.PositiveBigIntegerField(null=True, blank=True)
    max_cost = models.FloatField(null=True, blank=True)
    drawn_requests = models.BigIntegerField(default=0)
    drawn_tokens = models.BigIntegerField(default=0)
    drawn_cost = models.FloatField(default=0)
    requested_by = models.ForeignKey(User, on_delete=models.PROTECT, related_name="+")
    created_at = models.DateTimeField(auto_now_add=True)
    started_at = models.DateTimeField(null=True, blank=True)
    finished_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        verbose_name = _("audit")
        indexes: ClassVar = [models.Index(fields=["status", "created_at"], name="audit_by_status")]
        constraints: ClassVar = [
            models.CheckConstraint(
                condition=models.Q(status__in=AuditStatus.values), name="audit_status_known"
            ),
            # the target of the composite foreign key that keeps a card's submitter true
            models.UniqueConstraint(fields=["id", "requested_by"], name="audit_with_submitter"),
        ]

    def __str__(self) -> str:
        return self.id


class RunStatus(models.TextChoices):
    QUEUED = "queued", _("Queued")
    RUNNING = "running", _("Running")
    SUCCEEDED = "succeeded", _("Succeeded")
    ERRORED = "errored", _("Errored")
    TIMED_OUT = "timed_out", _("Timed out")
    LOST = "lost", _("Lost")
    CANCELLED = "cancelled", _("Cancelled")
    SKIPPED = "skipped", _("Skipped")


LIVE = [RunStatus.QUEUED, RunStatus.RUNNING]


class EvaluationRun(models.Model):
    """One attempt at one item of the suite. A lost attempt keeps its row; the next is a new one."""

    team_path: ClassVar[str] = "audit__model_version__model__team"

    id = models.CharField(primary_key=True, max_length=32, default=ids.run_id, editable=False)
    audit = models.ForeignKey(Audit, on_delete=models.PROTECT, related_name="runs")
    item = models.CharField(max_length=60)  # the name of the suite item
    position = models.PositiveSmallIntegerField()
    evaluation = models.CharField(max_length=80)
    evaluation_version = models.CharField(max_length=20)
    params = models.JSONField(default=dict)
    attempt = models.PositiveSmallIntegerField(default=1)
    status = models.CharField(max_length=16, choices=RunStatus, default=RunStatus.QUEUED)
    reason_code = models.CharField(max_length=60, blank=True)
    reason = models.TextField(blank=True)
    owner = models.CharField(max_length=120, blank=True)  # the worker that holds the lease
    lease_expires_at = models.DateTimeField(null=True, blank=True)
    progress_done = models.PositiveBigIntegerField(default=0)
    progress_total = models.PositiveBigIntegerField(default=0)
    progress_message = models.CharField(max_length=200, blank=True)
    log_tail = models.TextField(blank=True)
    device = models.CharField(max_length=60, blank=True)
    isolation = models.JSONField(
        default=dict
    )  # the level reached: {summary, filesystem, network, syscalls, account}
    environment = models.JSONField(default=dict)
    coverage = models.JSONField(default=dict)
    cost = models.JSONField(default=dict)
    spent = models.JSONField(
        default=dict
    )  # at endpoints, as the broker counted: {requests, tokens, cost, currency}
    warnings = models.JSONField(default=list)
    created_at = models.DateTimeField(auto_now_add=True)
    started_at = models.DateTimeField(null=True, blank=True)
    finished_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        verbose_name = _("run")
        ordering: ClassVar = ["position", "attempt"]
        indexes: ClassVar = [
            models.Index(fields=["status", "created_at"], name="run_by_status"),
        ]
        constraints: ClassVar = [
            models.CheckConstraint(condition=models.Q(status__in=RunStatus.values), name="run_status_known"),
            models.UniqueConstraint(fields=["audit", "item", "attempt"], name="run_attempt_once"),
            models.UniqueConstraint(
                fields=["audit", "item"], condition=models.Q(status__in=LIVE), name="run_one_live_attempt"
            ),
            models.CheckConstraint(
                condition=~models.Q(status=RunStatus.RUNNING) | models.Q(lease_expires_at__isnull=False),
                name="run_running_has_lease",
            ),
        ]

    def __str__(self) -> str:
        return self.id


class Metric(models.Model):
    """A measured value, as the evaluation reported it. Append-only."""

    run = models.ForeignKey(EvaluationRun, on_delete=models.PROTECT, related_name="metrics")
    name = models.CharField(max_length=80)
    slice = models.CharField(max_length=200, default="all")
    value = models.FloatField(null=True)
    ci_low = models.FloatField(null=True)
    ci_high = models.FloatField(null=True)
    interval_method = models.CharField(max_length=40, blank=True)
    interval_level = models.FloatField(null=True)
    interval_sides = models.PositiveSmallIntegerField(null=True)
    n = models.PositiveBigIntegerField()
    n_effective = models.FloatField(null=True)
    unit = models.CharField(max_length=20)
    direction = models.CharField(max_length=10)
    status = models.CharField(max_length=16)
    reason = models.TextField(blank=True)

    class Meta:
        constraints: ClassVar = [
            models.UniqueConstraint(fields=["run", "name", "slice"], name="metric_once_per_run"),
            models.CheckConstraint(
                condition=models.Q(status="ok", value__isnull=False)
                | (~models.Q(status="ok") & models.Q(value__isnull=True)),
                name="metric_value_iff_ok",
            ),
        ]

    def __str__(self) -> str:
        return f"{self.name} [{self.slice}]"


class Artifact(models.Model):
    """A file that a run left, in the artefact store: chart (JSON and SVG), examples, records, attacks."""

    class Kind(models.TextChoices):
        CHART = "chart", _("Chart")  # evaluations.spec.Chart as JSON
        CHART_SVG = "chart_svg", _("Chart, drawn")
        EXAMPLES = "examples", _("Examples")  # list of evaluations.spec.Example
        RECORDS = "records", _("Records")  # Parquet, one row per example
        ATTACKS = "attacks", _("Attacks")  # Parquet, one row per successful attack

    run = models.ForeignKey(EvaluationRun, on_delete=models.PROTECT, related_name="artifacts")
    kind = models.CharField(max_length=16, choices=Kind)
    name = models.CharField(max_length=120)
    media_type = models.CharField(max_length=60)
    sha256 = models.CharField(max_length=64)
    size = models.BigIntegerField()

    class Meta:
        constraints: ClassVar = [
            models.UniqueConstraint(fields=["run", "kind", "name"], name="artifact_once_per_run"),
        ]

    def __str__(self) -> str:
        return f"{self.kind} {self.name}"


class ControlResult(models.Model):
    """The outcome of one control on one slice: computed once, then frozen."""

    audit = models.ForeignKey(Audit, on_delete=models.PROTECT, related_name="control_results")
    policy_version = models.ForeignKey(PolicyVersion, on_delete=models.PROTECT, related_name="+")
    position = models.PositiveSmallIntegerField()
    control = models.CharField(max_length=20)  # FAIR-02
    slice = models.CharField(max_length=200, default="all")
    outcome = models.CharField(max_length=16)
    required = models.BooleanField()
    metric = models.ForeignKey(Metric, null=True, on_delete=models.PROTECT, related_name="+")
    reason_code = models.CharField(max_length=40, blank=True)
    more_examples = models.PositiveBigIntegerField(null=True)  # about how many would settle an inconclusive

    class Meta:
        ordering: ClassVar = ["position"]
        constraints: ClassVar = [
            models.UniqueConstraint(
                fields=["audit", "policy_version", "control", "slice"], name="control_result_once"
            ),
            models.CheckConstraint(
                condition=models.Q(
                    outcome__in=["pass", "fail", "inconclusive", "not_assessed", "not_applicable"]
                ),
                name="control_outcome_known",
            ),
        ]

    def __str__(self) -> str:
        return f"{self.control} [{self.slice}] {self.outcome}"
