"""Binary packages of Python distributions that are not named by their family's rule.

Keys are distribution names in the normal form of the PyPA's "Names and normalization" (PEP 503), sorted.
"""

from __future__ import annotations

from collections.abc import Mapping

# Checked against Debian 13's list of packages.
DEBIAN: Mapping[str, str] = {
    "attrs": "python3-attr",
    "beautifulsoup4": "python3-bs4",
    "cython": "cython3",
    "flit-core": "flit",
    "gitpython": "python3-git",
    "mysqlclient": "python3-mysqldb",
    "ovs": "python3-openvswitch",
    "pillow": "python3-pil",
    "psycopg2-binary": "python3-psycopg2",
    "pygobject": "python3-gi",
    "pyjwt": "python3-jwt",
    "pynacl": "python3-nacl",
    "pyopenssl": "python3-openssl",
    "pyserial": "python3-serial",
    "pysnmp": "python3-pysnmp4",
    "python-memcached": "python3-memcache",
    "pywinrm": "python3-winrm",
    "pyyaml": "python3-yaml",
    "pyzmq": "python3-zmq",
    "scikit-learn": "python3-sklearn",
    "sphinxcontrib-apidoc": "python3-sphinxcontrib.apidoc",
    "sphinxcontrib-svg2pdfconverter": "python3-sphinxcontrib.svg2pdfconverter",
    "suds-community": "python3-suds",
    "tzdata": "tzdata",
    "websocket-client": "python3-websocket",
}

# What pymod2pkg gets wrong.
RPM: Mapping[str, str] = {
    "ipy": "python3-IPy",
    "m2crypto": "python3-m2crypto",
    "qpid-python": "python3-qpid",
}
