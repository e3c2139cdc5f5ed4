"""Who signs: a certificate made on this machine on first use, or the user's own certificate and key."""

from __future__ import annotations

import contextlib
import datetime
import itertools
import os
import shutil
import sys
from dataclasses import dataclass, field
from pathlib import Path

from cryptography import x509
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.hazmat.primitives.asymmetric.types import PrivateKeyTypes
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from portrait_anim.errors import OptionError, OutputError
from portrait_anim.system.files import hidden_name, printable, readable_file, remove_orphans

HOME_VARIABLE = "PORTRAIT_ANIM_HOME"
_FOLDER, _KEY, _CHAIN = "signing", "key.pem", "chain.pem"
_YEARS = 20  # without a trusted time stamp a film counts as valid only while its certificate is
_ORGANISATION = "portrait_anim, self-made on one machine"


@dataclass(frozen=True)
class Identity:
    """A certificate chain and its private key, as c2pa takes them.

    Attributes:
        algorithm: c2pa's name: es256, es384, es512, ps256 or ed25519.
        chain: PEM, the signer's certificate first.
        key: PEM (PKCS#8), not encrypted.
        own: made by this program on this machine; no reader trusts it.
    """

    algorithm: str
    chain: bytes
    key: bytes = field(repr=False)
    own: bool

    @property
    def serial(self) -> str:
        """The signing certificate's serial number, in decimal digits."""
        return str(x509.load_pem_x509_certificate(self.chain).serial_number)


def data_folder() -> Path:
    """Return the folder this program keeps its own files in; it may not exist yet.

    ``PORTRAIT_ANIM_HOME`` names another one.
    """
    if home := os.environ.get(HOME_VARIABLE):
        return Path(home)
    if sys.platform == "win32":
        base = os.environ.get("LOCALAPPDATA") or str(Path.home() / "AppData" / "Local")
    elif sys.platform == "darwin":
        base = str(Path.home() / "Library" / "Application Support")
    else:
        base = os.environ.get("XDG_DATA_HOME") or str(Path.home() / ".local" / "share")
    return Path(base) / "portrait_anim"


def own_identity() -> Identity:
    """Return this machine's identity; made on the first call, by one process only.

    Raises:
        OutputError: the folder cannot be written, or what is in it is damaged.
    """
    folder = data_folder() / _FOLDER
    try:
        if not (folder / _KEY).exists():
            _create(folder)
        key, chain = (folder / _KEY).read_bytes(), (folder / _CHAIN).read_bytes()
    except OSError as e:
        raise OutputError(
            f"no signing key can be kept in {printable(folder)} ({e.strerror}): "
            f"set {HOME_VARIABLE} to a folder of yours"
        ) from e
    try:
        return _checked(chain, key, own=True)
    except OptionError as e:
        raise OutputError(f"the signing key in {printable(folder)} cannot be used ({e}): remove that folder") from e


def load_identity(certificate: str | os.PathLike[str] | None, key: str | os.PathLike[str] | None) -> Identity:
    """Return the user's identity, or this machine's when both are None.

    Args:
        certificate: PEM file, the signer's certificate first, then its chain up to (not necessarily with) the root.
        key: PEM file of the private key, not encrypted.

    Raises:
        OptionError: only one of the two, a file missing or not PEM, an encrypted key, a key that does not belong to
            the certificate, an expired certificate, a kind of key that C2PA has no name for.
        OutputError: see ``own_identity``.
    """
    if certificate is None and key is None:
        return own_identity()
    if certificate is None or key is None:
        raise OptionError("a certificate and its key go together: give both --sign-cert and --sign-key, or neither")
    chain = readable_file(certificate, OptionError, "certificate").read_bytes()
    return _checked(chain, readable_file(key, OptionError, "signing key").read_bytes(), own=False)


def _checked(chain: bytes, key_pem: bytes, *, own: bool) -> Identity:
    try:
        certificates = x509.load_pem_x509_certificates(chain)
    except ValueError as e:
        raise OptionError("the certificate is not a PEM file: convert it with openssl x509 -outform pem") from e
    try:
        key = serialization.load_pem_private_key(key_pem, None)
    except TypeError as e:
        raise OptionError("the signing key is encrypted: decrypt it first with openssl pkey -in KEY -out NEWKEY") from e
    except (ValueError, UnsupportedAlgorithm) as e:
        raise OptionError("the signing key is not a PEM file of a private key: convert it with openssl pkey") from e
    leaf = certificates[0]
    if _public_bytes(leaf.public_key()) != _public_bytes(key.public_key()):
        raise OptionError("the signing key does not belong to the first certificate in the file: give the pair")
    now = datetime.datetime.now(datetime.UTC)
    for certificate in certificates:
        if now > certificate.not_valid_after_utc:
            raise OptionError(f"the certificate expired on {certificate.not_valid_after_utc:%Y-%m-%d}: renew it")
        if now < certificate.not_valid_before_utc:
            raise OptionError(f"the certificate is valid from {certificate.not_valid_before_utc:%Y-%m-%d} only")
    for issued, issuer in itertools.pairwise(certificates):
        try:
            issued.verify_directly_issued_by(issuer)
        except (ValueError, TypeError, InvalidSignature) as e:
            raise OptionError("the certificates are not in order: the signer's first, then who issued it") from e
    plain = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    return Identity(_algorithm(key), chain, plain, own)


def _public_bytes(key: object) -> bytes:
    form = serialization.PublicFormat.SubjectPublicKeyInfo
    encoded: bytes = key.public_bytes(serialization.Encoding.DER, form)  # type: ignore[attr-defined]
    return encoded


def _algorithm(key: PrivateKeyTypes) -> str:
    if isinstance(key, ec.EllipticCurvePrivateKey):
        names = {"secp256r1": "es256", "secp384r1": "es384", "secp521r1": "es512"}
        if key.curve.name in names:
            return names[key.curve.name]
    if isinstance(key, rsa.RSAPrivateKey) and key.key_size >= 2048:
        return "ps256"
    if isinstance(key, ed25519.Ed25519PrivateKey):
        return "ed25519"
    raise OptionError("the signing key is of a kind C2PA does not take: use ECDSA P-256, P-384, P-521, RSA or Ed25519")


def _create(folder: Path) -> None:
    """Make key and chain under a temporary name, then rename the folder: the first process wins."""
    folder.parent.mkdir(parents=True, exist_ok=True)
    remove_orphans(folder.parent)
    temporary = hidden_name(folder)
    temporary.mkdir(mode=0o700)
    try:
        key, chain = _new_chain()
        with open(os.open(temporary / _KEY, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:  # noqa: PTH123
            file.write(key)
        (temporary / _CHAIN).write_bytes(chain)
        try:
            temporary.rename(folder)
        except OSError:
            if not (folder / _KEY).exists():  # not another process's: something is really wrong
                raise
    finally:
        with contextlib.suppress(OSError):
            shutil.rmtree(temporary)


def _new_chain() -> tuple[bytes, bytes]:
    """Return (key, chain) as PEM: ES256, a root whose key is thrown away, and one certificate it issued."""
    now = datetime.datetime.now(datetime.UTC)
    until = now + datetime.timedelta(days=365 * _YEARS)
    root_key, key = ec.generate_private_key(ec.SECP256R1()), ec.generate_private_key(ec.SECP256R1())
    root_name, name = _name("portrait_anim local root"), _name("portrait_anim local signer")

    def builder(subject: x509.Name, public: ec.EllipticCurvePublicKey) -> x509.CertificateBuilder:
        issued = x509.CertificateBuilder().subject_name(subject).issuer_name(root_name).public_key(public)
        issued = issued.serial_number(x509.random_serial_number()).not_valid_after(until)
        issued = issued.not_valid_before(now - datetime.timedelta(days=1))  # clocks differ
        issued = issued.add_extension(x509.SubjectKeyIdentifier.from_public_key(public), critical=False)
        issuer = x509.AuthorityKeyIdentifier.from_issuer_public_key(root_key.public_key())
        return issued.add_extension(issuer, critical=False)

    root = builder(root_name, root_key.public_key()).add_extension(x509.BasicConstraints(True, 0), critical=True)
    root = root.add_extension(_usage(signs_certificates=True), critical=True)
    leaf = builder(name, key.public_key()).add_extension(x509.BasicConstraints(False, None), critical=True)
    leaf = leaf.add_extension(_usage(signs_certificates=False), critical=True)
    purpose = x509.ExtendedKeyUsage([ExtendedKeyUsageOID.EMAIL_PROTECTION])  # one of those C2PA accepts
    leaf = leaf.add_extension(purpose, critical=False)
    signed = (leaf.sign(root_key, hashes.SHA256()), root.sign(root_key, hashes.SHA256()))
    chain = b"".join(certificate.public_bytes(serialization.Encoding.PEM) for certificate in signed)
    encoding, form = serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8
    return key.private_bytes(encoding, form, serialization.NoEncryption()), chain


def _name(common_name: str) -> x509.Name:
    organisation = x509.NameAttribute(NameOID.ORGANIZATION_NAME, _ORGANISATION)
    return x509.Name([organisation, x509.NameAttribute(NameOID.COMMON_NAME, common_name)])


def _usage(*, signs_certificates: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=not signs_certificates,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        key_cert_sign=signs_certificates,
        crl_sign=signs_certificates,
        encipher_only=False,
        decipher_only=False,
    )
