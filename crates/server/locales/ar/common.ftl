# ما تقوله كل الصفحات.

skip = انتقل إلى المحتوى
site-nav = الموقع
not-encrypted = هذا الاتصال غير مشفّر: قد يتمكن آخرون على الشبكة نفسها من قراءته.
enter-code = أدخل رمزًا
language = اللغة
officers = لجنة الاقتراع

state-draft = لم يُفتح بعد
state-open = مفتوح
state-paused = متوقف مؤقتًا
state-closing = قيد الإغلاق
state-closed = مغلق
state-published = نُشرت النتيجة
state-cancelled = ملغى
state-closes = { $state } · يُغلق { $time }
rehearsal = تجربة: لا يُحتسب شيء هنا
round = الجولة { $n }

voted =
    { $n ->
        [zero] لم يصوّت أحد
        [one] صوّت شخص واحد
        [two] صوّت شخصان
        [few] صوّت { $n } أشخاص
        [many] صوّت { $n } شخصًا
       *[other] صوّت { $n } شخص
    }

live-now = مباشر: تظهر الأرقام تلقائيًا.
live-stale-js = آخر تحديث قبل {"{"}seconds{"}"} ث، تجري إعادة المحاولة.
live-as-of-js = حتى الصوت {"{"}n{"}"}، قبل {"{"}seconds{"}"} ث.
live-update = حدّث الأرقام
live-again = عاد الاتصال.
copied = نُسخ

votes =
    { $n ->
        [zero] لا أصوات
        [one] صوت واحد
        [two] صوتان
        [few] { $n } أصوات
        [many] { $n } صوتًا
       *[other] { $n } صوت
    }
turnout-voters =
    { $n ->
        [one] مصوّت
        [two] مصوّتان
        [few] مصوّتين
       *[other] مصوّتًا
    }
turnout-of = من أصل { $n } من الناخبين
list-comma = ،
list-and = { $head } و{ $last }

outcome-no-votes = لم يُدلَ بأي صوت
outcome-winner =
    { $n ->
        [zero] الفائز هو { $name } بلا أصوات
        [one] الفائز هو { $name } بصوت واحد
        [two] الفائز هو { $name } بصوتين
        [few] الفائز هو { $name } بعدد { $n } أصوات
        [many] الفائز هو { $name } بعدد { $n } صوتًا
       *[other] الفائز هو { $name } بعدد { $n } صوت
    }
outcome-winners = الفائزون هم { $names }
outcome-tie = تعادل بين { $names }
outcome-tie-seats =
    { $n ->
        [one] { $tie } على المقعد الأخير
        [two] { $tie } على المقعدين الأخيرين
        [few] { $tie } على آخر { $n } مقاعد
       *[other] { $tie } على آخر { $n } مقعدًا
    }
outcome-elected-and-tie =
    { $n ->
        [one] انتُخب: { $elected }. { $tie } على المقعد الأخير
        [two] انتُخب: { $elected }. { $tie } على المقعدين الأخيرين
        [few] انتُخب: { $elected }. { $tie } على آخر { $n } مقاعد
       *[other] انتُخب: { $elected }. { $tie } على آخر { $n } مقعدًا
    }
outcome-to-be-drawn = { $tie }، وتحسمه القرعة
outcome-drawn = { $elected }، بالقرعة بين { $names }
outcome-drawn-by-server = { $elected }، بقرعة أجراها الخادم بين { $names }
outcome-passed = قُبل الاقتراح: { $yes } من { $base }، والمطلوب { $needed }
outcome-failed = رُفض الاقتراح: { $yes } من { $base }، والمطلوب { $needed }
outcome-no-quorum = لم يكتمل النصاب: الأصوات المدلى بها { $cast }، والمطلوب { $needed }

method-plurality =
    { $n ->
        [one] الأغلبية النسبية: يفوز صاحب أكثر الأصوات.
        [two] الأغلبية النسبية: يفوز الاثنان الأكثر أصواتًا.
        [few] الأغلبية النسبية: يفوز الـ{ $n } الأكثر أصواتًا.
       *[other] الأغلبية النسبية: يفوز الـ{ $n } الأكثر أصواتًا.
    }
method-approval =
    { $n ->
        [one] تصويت بالموافقة: علّم كل ما توافق عليه؛ يفوز صاحب أكثر الأصوات.
        [two] تصويت بالموافقة: علّم كل ما توافق عليه؛ يفوز الاثنان الأكثر أصواتًا.
       *[other] تصويت بالموافقة: علّم كل ما توافق عليه؛ يفوز الـ{ $n } الأكثر أصواتًا.
    }
method-motion-more-yes-no = اقتراح: يُقبل بأكثر من { $share } من أصوات نعم ولا.
method-motion-least-yes-no = اقتراح: يُقبل بما لا يقل عن { $share } من أصوات نعم ولا.
method-motion-more-cast = اقتراح: يُقبل بأكثر من { $share } من كل الأوراق.
method-motion-least-cast = اقتراح: يُقبل بما لا يقل عن { $share } من كل الأوراق.
method-motion-more-eligible = اقتراح: يُقبل بأكثر من { $share } من كل من في القائمة.
method-motion-least-eligible = اقتراح: يُقبل بما لا يقل عن { $share } من كل من في القائمة.
choose-one = اختر واحدًا.
choose-any = اختر ما شئت. إن لم تختر شيئًا بقي هذا السؤال أبيض.
choose-up-to = اختر حتى { $n }. إن لم تختر شيئًا بقي هذا السؤال أبيض.
choose-exactly = اختر { $n }. إن لم تختر شيئًا بقي هذا السؤال أبيض.
choose-from-to = اختر من { $min } إلى { $max }. إن لم تختر شيئًا بقي هذا السؤال أبيض.
results-live = تظهر الأعداد أثناء التصويت.
results-own-ballot = تظهر الأعداد لمن صوّت، وللجميع عند إغلاق التصويت.
results-at-close = تظهر الأعداد هنا عند إغلاق التصويت.
results-on-publish = تظهر الأعداد هنا حين تنشر لجنة الاقتراع النتيجة.
rule-who = من يصوّت
rule-open = كل من لديه العنوان، ورقة واحدة لكل متصفح
rule-list =
    { $n ->
        [one] قائمة من شخص واحد
        [two] قائمة من شخصين
        [few] قائمة من { $n } أشخاص
       *[other] قائمة من { $n } شخصًا
    }
rule-results = النتائج
rule-ballots = أوراق كل مصوّت
rule-again = التصويت مرة أخرى
rule-last-counts = تُحتسب الورقة الأخيرة
rule-closes-after = يُغلق بعد
rule-voters =
    { $n ->
        [one] مصوّت واحد
        [two] مصوّتين
        [few] { $n } مصوّتين
       *[other] { $n } مصوّتًا
    }
rule-everybody = كل من في القائمة
rule-definition = التعريف
results-on-reveal = تظهر الأعداد هنا حين يعرضها المسؤول.
method-rating = تقييم: النتيجة هي متوسط كل الدرجات.
outcome-rated =
    { $n ->
        [zero] المتوسط { $average } من { $highest }
        [one] المتوسط { $average } من { $highest } عن تقييم واحد
        [two] المتوسط { $average } من { $highest } عن تقييمين
        [few] المتوسط { $average } من { $highest } عن { $n } تقييمات
        [many] المتوسط { $average } من { $highest } عن { $n } تقييمًا
       *[other] المتوسط { $average } من { $highest } عن { $n } تقييم
    }
elsewhere = إذا لم يُجب هذا الخادم فتابع هنا:
elsewhere-cast = إذا لم يُجب هذا الخادم فأرسل النموذج إلى خادم آخر؛ ولن يُحتسب إلا مرة واحدة:
