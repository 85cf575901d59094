"""The web service as a WSGI application: what granian or gunicorn serves."""

import os

from django.core.wsgi import get_wsgi_application

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "auditor.settings")
application = get_wsgi_application()
