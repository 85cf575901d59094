"""What is audited: models, their immutable versions, data sets and theirs, and uploads under way."""

from __future__ import annotations

from typing import ClassVar

from django.db import models
from django.utils.translation import gettext_lazy as _

from auditor.accounts.models import Team, User
from auditor.core import ids
from evaluations.spec import Modality, ModelFormat


class RiskTier(models.TextChoices):
    MINIMAL = "minimal", _("Minimal")
    LIMITED = "limited", _("Limited")
    HIGH = "high", _("High")


class Model(models.Model):
    """A named system with an owner and an intended use."""

    team_path: ClassVar[str] = "team"

    id = models.CharField(primary_key=True, max_length=32, default=ids.model_id, editable=False)
    name = models.SlugField(max_length=60, unique=True)
    team = models.ForeignKey(Team, on_delete=models.PROTECT, related_name="models")
    owner = models.ForeignKey(User, on_delete=models.PROTECT, related_name="+")
    modality = models.CharField(max_length=32, choices=[(m.value, m.value) for m in Modality])
    description = models.TextField(blank=True)
    risk_tier = models.CharField(max_length=16, choices=RiskTier, default=RiskTier.LIMITED)
    intended_use = models.TextField(blank=True)
    out_of_scope_use = models.TextField(blank=True)
    languages = models.JSONField(default=list, blank=True)  # BCP 47 tags
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        verbose_name = _("model")

    def __str__(self) -> str:
        return self.name


class ModelVersion(models.Model):
    """One immutable artefact. Never edited; the database refuses it."""

    team_path: ClassVar[str] = "model__team"

    id = models.CharField(primary_key=True, max_length=32, default=ids.model_version_id, editable=False)
    model = models.ForeignKey(Model, on_delete=models.PROTECT, related_name="versions")
    version = models.CharField(max_length=40)
    digest = models.CharField(max_length=71)  # sha256:… over the paths and digests of the files
    format = models.CharField(max_length=16, choices=[(f.value, f.value) for f in ModelFormat])
    files = models.JSONField()  # [{path, size, sha256}]
    size = models.BigIntegerField()  # bytes
    labels = models.JSONField(default=list)  # class names in the order of the output; [] = the model knows
    parent = models.ForeignKey(
        "self", null=True, blank=True, on_delete=models.PROTECT, related_name="children"
    )
    provenance = models.JSONField(default=dict)  # what the submitter says: source, commit, training run
    submitted_by = models.ForeignKey(User, on_delete=models.PROTECT, related_name="+")
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        verbose_name = _("model version")
        constraints: ClassVar = [
            models.UniqueConstraint(fields=["model", "version"], name="model_version_once"),
        ]

    def __str__(self) -> str:
        return f"{self.model.name}@{self.version}"


class EndpointCredential(models.Model):
    """The secret that goes with requests to where a model is served. Written by people, read by supervisors alone."""

    team_path: ClassVar[str] = "model__team"

    model = models.OneToOneField(Model, on_delete=models.CASCADE, related_name="credential")
    origin = models.CharField(max_length=300)  # https://host: it is sent nowhere else
    header = models.CharField(max_length=60)
    sealed = models.TextField()  # encrypted, together with the model and the origin that it is for
    set_by = models.ForeignKey(User, on_delete=models.PROTECT, related_name="+")
    set_at = models.DateTimeField()

    class Meta:
        verbose_name = _("endpoint credential")

    def __str__(self) -> str:
        return f"{self.header} for {self.origin}"


class Dataset(models.Model):
    """Named evaluation data."""

    team_path: ClassVar[str] = "team"

    id = models.CharField(primary_key=True, max_length=32, default=ids.dataset_id, editable=False)
    name = models.SlugField(max_length=60, unique=True)
    team = models.ForeignKey(Team, on_delete=models.PROTECT, related_name="datasets")
    description = models.TextField(blank=True)
    licence = models.CharField(max_length=120, blank=True)
    source = models.CharField(max_length=300, blank=True)
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        verbose_name = _("data set")

    def __str__(self) -> str:
        return self.name


class DatasetVersion(models.Model):
    """One immutable table with the roles of its columns."""

    team_path: ClassVar[str] = "dataset__team"

    id = models.CharField(primary_key=True, max_length=32, default=ids.dataset_version_id, editable=False)
    dataset = models.ForeignKey(Dataset, on_delete=models.PROTECT, related_name="versions")
    version = models.CharField(max_length=40)
    digest = models.CharField(max_length=71)  # sha256:… of the file
    format = models.CharField(max_length=8, choices=[(f, f) for f in ("parquet", "csv", "jsonl")])
    size = models.BigIntegerField()  # bytes
    rows = models.PositiveBigIntegerField()
    roles = models.JSONField()  # {column: role}
    favourable_label = models.CharField(max_length=120, blank=True)
    languages = models.JSONField(default=list, blank=True)
    summary = models.JSONField(default=dict)  # {"classes": {label: n}, "groups": {column: {group: n}}}
    held_out = models.BooleanField(default=False)
    egress = models.JSONField(default=list, blank=True)  # who may be shown its rows: registry/egress.py
    provenance = models.JSONField(default=dict, blank=True)  # how the service made it: registry/suites.py
    submitted_by = models.ForeignKey(User, on_delete=models.PROTECT, related_name="+")
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        verbose_name = _("data set version")
        constraints: ClassVar = [
            models.UniqueConstraint(fields=["dataset", "version"], name="dataset_version_once"),
            models.CheckConstraint(condition=models.Q(rows__gt=0), name="dataset_version_has_rows"),
        ]

    def __str__(self) -> str:
        return f"{self.dataset.name}@{self.version}"


class Upload(models.Model):
    """A resumable upload under way. Its files lie in a staging folder of their own until intake accepts them.

    A model that intake refuses stays as a quarantined row: what was announced, by whom, and why it was refused. Its
    files are deleted at once, so that nothing of them can be loaded.
    """

    team_path: ClassVar[str] = "team"

    class Kind(models.TextChoices):
        MODEL = "model", _("Model")
        DATASET = "dataset", _("Data set")

    class State(models.TextChoices):
        RECEIVING = "receiving", _("Under way")
        QUARANTINED = "quarantined", _("Quarantined")

    id = models.CharField(primary_key=True, max_length=32, default=ids.upload_id, editable=False)
    team = models.ForeignKey(Team, on_delete=models.CASCADE, related_name="+")
    kind = models.CharField(max_length=8, choices=Kind)
    target = models.CharField(max_length=32)  # id of the Model or Dataset
    manifest = (
        models.JSONField()
    )  # as announced: version, files [{path, size, sha256}], and what the version will hold
    created_by = models.ForeignKey(User, on_delete=models.CASCADE, related_name="+")
    created_at = models.DateTimeField(auto_now_add=True)
    expires_at = models.DateTimeField()
    state = models.CharField(max_length=12, choices=State, default=State.RECEIVING)
    digest = models.CharField(
        max_length=71, blank=True, default=""
    )  # of a quarantined one: as the version's would have been
    refused_at = models.DateTimeField(null=True, blank=True)
    refusal = models.JSONField(
        default=dict, blank=True
    )  # {reasons, notes: [{code, path, message}], pickles: […]}

    class Meta:
        verbose_name = _("upload")

    def __str__(self) -> str:
        return f"{self.kind} upload {self.id}"
