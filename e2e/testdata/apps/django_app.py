"""A Django project in one file, with its log-in and its CSRF protection.

    django_app.py migrate
    django_app.py createuser                      squirrel, whose password is acorn
    django_app.py runserver --noreload PORT
    gunicorn --bind 127.0.0.1:PORT django_app:application

DATABASE is a file. BEHIND_PROXY=1 has it believe X-Forwarded-Proto.
"""

import os
import sys

import django
from django.conf import settings
from django.core.management import execute_from_command_line
from django.core.wsgi import get_wsgi_application
from django.http import HttpResponse, JsonResponse
from django.urls import include, path

behind = os.environ.get("BEHIND_PROXY") == "1"
settings.configure(
    DEBUG=True,
    SECRET_KEY="not a secret",
    ROOT_URLCONF=__name__,
    WSGI_APPLICATION=__name__ + ".application",
    ALLOWED_HOSTS=[],  # under DEBUG: localhost and what ends in .localhost
    INSTALLED_APPS=["django.contrib.auth", "django.contrib.contenttypes", "django.contrib.sessions"],
    MIDDLEWARE=[
        "django.middleware.security.SecurityMiddleware",
        "django.contrib.sessions.middleware.SessionMiddleware",
        "django.middleware.common.CommonMiddleware",
        "django.middleware.csrf.CsrfViewMiddleware",
        "django.contrib.auth.middleware.AuthenticationMiddleware",
    ],
    TEMPLATES=[
        {
            "BACKEND": "django.template.backends.django.DjangoTemplates",
            "OPTIONS": {
                "loaders": [
                    (
                        "django.template.loaders.locmem.Loader",
                        {
                            "registration/login.html": '<form method="post">{% csrf_token %}{{ form }}'
                            '<input type="hidden" name="next" value="{{ next }}"></form>'
                        },
                    )
                ]
            },
        }
    ],
    DATABASES={"default": {"ENGINE": "django.db.backends.sqlite3", "NAME": os.environ["DATABASE"]}},
    DEFAULT_AUTO_FIELD="django.db.models.AutoField",
    PASSWORD_HASHERS=["django.contrib.auth.hashers.MD5PasswordHasher"],
    LOGIN_URL="/accounts/login/",
    USE_TZ=True,
    SECURE_SSL_REDIRECT=behind,
    SESSION_COOKIE_SECURE=True,
    CSRF_COOKIE_SECURE=True,
    SECURE_PROXY_SSL_HEADER=("HTTP_X_FORWARDED_PROTO", "https") if behind else None,
)
application = get_wsgi_application()

from django.contrib.auth.decorators import login_required  # noqa: E402 (needs the settings)
from django.middleware.csrf import get_token  # noqa: E402


def seen(request):
    return JsonResponse(
        {
            "version": django.VERSION[0],
            "scheme": request.scheme,
            "secure": request.is_secure(),
            "host": request.get_host(),
            "url": request.build_absolute_uri(),
            "origin": request.headers.get("Origin"),
            "referer": request.headers.get("Referer"),
            "client": request.META.get("HTTP_X_FORWARDED_FOR"),
            "token": get_token(request),
        }
    )


@login_required
def account(request):
    return HttpResponse("account of " + request.user.username)


def note(request):
    return HttpResponse("noted " + request.POST["text"])


urlpatterns = [
    path("seen/", seen),
    path("account/", account),
    path("note/", note),
    path("accounts/", include("django.contrib.auth.urls")),
]

if __name__ == "__main__":
    if sys.argv[1] == "createuser":
        from django.contrib.auth.models import User

        User.objects.create_user("squirrel", password="acorn")
    else:
        execute_from_command_line(sys.argv)
