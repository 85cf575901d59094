"""Makes accounts and tokens, and tells who is asking."""

from __future__ import annotations

import hashlib
import hmac
import ipaddress
from collections.abc import Iterable
from datetime import timedelta

from django.conf import settings
from django.contrib.auth.password_validation import validate_password
from django.core.exceptions import ValidationError
from django.db import IntegrityError, transaction
from django.db.models import Q
from django.utils import timezone

from auditor.accounts import token_format
from auditor.accounts.models import ApiToken, Membership, Role, Team, User
from auditor.core.access import Principal
from auditor.core.errors import DomainError, Problem, conflict, forbidden

TOKEN_SCOPES = frozenset({"read", "submit"})  # reviewing and administering are for people
MAX_TOKEN_DAYS = 366
USED_EVERY = timedelta(
    minutes=1
)  # how exact `last_used_at` is: a write per request would cost more than it tells


def principal_of(user: User) -> Principal:
    """A signed-in person, with the roles of all their teams."""
    return Principal(user_id=user.pk, name=str(user), roles=_roles(user))


def create_user(*, username: str, password: str, team: Team, role: str, full_name: str = "") -> User:
    """A person with a role in a team. Raises `invalid_user` with every rule that the input breaks."""
    user = User(username=username, first_name=full_name[:150])
    errors = []
    try:
        user.clean_fields(exclude=["password"])
    except ValidationError as error:
        errors += [Problem(f"/{name}", text) for name, texts in error.message_dict.items() for text in texts]
    try:
        validate_password(password, user)
    except ValidationError as error:
        errors += [Problem("/password", text) for text in error.messages]
    if role not in Role.values:
        errors.append(Problem("/role", f"Choose one of: {', '.join(Role.values)}."))
    if errors:
        raise DomainError(
            "invalid_user", "The account was not made. " + " ".join(e.detail for e in errors), errors=errors
        )
    user.set_password(password)
    try:
        with transaction.atomic():
            user.save()
            Membership.objects.create(user=user, team=team, role=role)
    except IntegrityError as error:
        raise conflict(
            "user_exists", f"There is already an account {username!r}. Choose another name."
        ) from error
    return user


def issue_token(
    *, user: User, name: str, scopes: Iterable[str], days: int = 90, networks: Iterable[str] = ()
) -> tuple[ApiToken, str]:
    """A new token of `user`, and its text, which is shown once and kept nowhere.

    `networks` are CIDR ranges that it may be used from; none means any.
    """
    scopes, errors, ranges = sorted(set(scopes)), [], []
    if not 1 <= len(name) <= 80:
        errors.append(
            Problem(
                "/name", "Give the token a name of 1 to 80 characters, such as the pipeline that uses it."
            )
        )
    if not scopes or not TOKEN_SCOPES.issuperset(scopes):
        errors.append(
            Problem("/scopes", f"Choose from: {', '.join(sorted(TOKEN_SCOPES))}. People review, not tokens.")
        )
    if not 1 <= days <= MAX_TOKEN_DAYS:
        errors.append(Problem("/days", f"A token lasts 1 to {MAX_TOKEN_DAYS} days."))
    for network in networks:
        try:
            ranges.append(str(ipaddress.ip_network(network, strict=False)))
        except ValueError:
            errors.append(
                Problem("/networks", f"{network[:60]!r} is no network. Write it like 192.0.2.0/24.")
            )
    if errors:
        raise DomainError("invalid_token_request", " ".join(e.detail for e in errors), errors=errors)
    token_id, secret = token_format.random_text(12), token_format.random_text(32)
    pepper = max(settings.API_TOKEN_PEPPERS)
    token = ApiToken.objects.create(
        id=token_id,
        user=user,
        name=name,
        secret_hmac=_hmac(pepper, token_id, secret),
        pepper=pepper,
        scopes=scopes,
        allowed_networks=ranges,
        expires_at=timezone.now() + timedelta(days=days),
    )
    return token, token_format.compose(token_id, secret)


def authenticate_token(plaintext: str, ip: str) -> Principal:
    """Who a token acts for, within its scopes. Raises `invalid_token` (401) or `forbidden` (wrong network)."""
    parsed = token_format.parse(plaintext)
    if parsed is None:
        raise _invalid(
            "This is not a token of this service, or it was cut when it was copied. Copy it again."
        )
    token_id, secret = parsed
    token = ApiToken.objects.select_related("user").filter(pk=token_id).first()
    if token is None or token.pepper not in settings.API_TOKEN_PEPPERS:
        raise _invalid("The token is not known. Make a new one under Account, API tokens.")
    if not hmac.compare_digest(bytes(token.secret_hmac), _hmac(token.pepper, token_id, secret)):
        raise _invalid("The token is not known. Make a new one under Account, API tokens.")
    now = timezone.now()
    if token.revoked_at or not token.user.is_active:
        raise _invalid("The token was revoked. Make a new one under Account, API tokens.")
    if token.expires_at <= now:
        raise _invalid(
            f"The token expired on {token.expires_at:%Y-%m-%d}. Make a new one under Account, API tokens."
        )
    if token.allowed_networks and not _within(ip, token.allowed_networks):
        raise forbidden(f"This token may not be used from {ip}. Use it from the networks it was made for.")
    ApiToken.objects.filter(Q(last_used_at=None) | Q(last_used_at__lt=now - USED_EVERY), pk=token.pk).update(
        last_used_at=now
    )
    return Principal(token.user.pk, str(token.user), _roles(token.user), scopes=frozenset(token.scopes))


def revoke_token(*, user: User, token_id: str) -> None:
    """End a token of `user` at once. Revoking twice changes nothing."""
    found = ApiToken.objects.filter(pk=token_id, user=user)
    if not found.exists():
        raise DomainError("not_found", f"You have no token “{token_id}”.", status=404)
    found.filter(revoked_at=None).update(revoked_at=timezone.now())


def _roles(user: User) -> dict[str, str]:
    return dict(Membership.objects.filter(user=user).values_list("team_id", "role"))


def _hmac(pepper: int, token_id: str, secret: str) -> bytes:
    key = str(settings.API_TOKEN_PEPPERS[pepper]).encode()
    return hmac.new(key, f"api-token:{token_id}:{secret}".encode(), hashlib.sha256).digest()


def _within(ip: str, networks: list[str]) -> bool:
    try:
        address = ipaddress.ip_address(ip)
    except ValueError:
        return False
    if isinstance(address, ipaddress.IPv6Address) and address.ipv4_mapped:
        address = address.ipv4_mapped
    return any(address in ipaddress.ip_network(network) for network in networks)


def _invalid(message: str) -> DomainError:
    return DomainError("invalid_token", message, status=401)
